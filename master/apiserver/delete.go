package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

var deleteOptionsKind = metav1.SchemeGroupVersion.WithKind("DeleteOptions")

// deleteOptions reads and checks what a deletion wants: the body where there is one, else the query.
func (c *call) deleteOptions() (*metav1.DeleteOptions, error) {
	opts := &metav1.DeleteOptions{}
	body, err := c.body()
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		err = c.decodeBytes(body, c.r.Header.Get("Content-Type"), deleteOptionsKind, opts, metav1.FieldValidationIgnore)
	} else if err = metav1.Convert_url_Values_To_v1_DeleteOptions(&c.query, opts, nil); err != nil {
		err = apierrors.NewBadRequest(err.Error())
	}
	if err != nil {
		return nil, err
	}
	return opts, invalidOptions("DeleteOptions", validation.ValidateDeleteOptions(opts))
}

// delete begins the deletion of an object, or ends it where nothing holds the object.
func (c *call) delete() error {
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	f, err := c.format(asTable, asPartial)
	if err != nil {
		return err
	}
	var o resource.Object
	var gone bool
	err = retry(func() (err error) {
		o, gone, err = c.deleteOne(c.key(), opts)
		return err
	})
	if err != nil {
		return err
	}
	if !gone {
		c.write(c.w, c.r, http.StatusOK, f, c.shown(f, o))
		return nil
	}
	f.as = ""
	c.write(c.w, c.r, http.StatusOK, f, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Details: &metav1.StatusDetails{
			Name: o.GetName(), Group: c.res.GVK.Group, Kind: c.res.Plural(), UID: o.GetUID(),
		},
	})
	return nil
}

// deleteOne deletes an object as far as it goes at once: what has a grace, finalizers or contents is marked
// with a deletionTimestamp and stays until those are done with. gone reports that it is no more.
func (c *call) deleteOne(key change.Key, opts *metav1.DeleteOptions) (o resource.Object, gone bool, err error) {
	view := c.Store.View()
	rec, _ := view.Get(key)
	o, err = object(c.res, rec)
	if err != nil {
		return nil, false, err
	}
	if o == nil {
		return nil, false, apierrors.NewNotFound(c.groupResource(), key.Name)
	}
	if err := c.admitDelete(key.Name); err != nil {
		return nil, false, err
	}
	if err := c.checkPreconditions(opts.Preconditions, o); err != nil {
		return nil, false, err
	}
	o.SetFinalizers(finalizersFor(o.GetFinalizers(), opts))
	c.markDeleted(view, o, opts.GracePeriodSeconds)
	dryRun := len(opts.DryRun) > 0
	if c.mayGo(o) {
		return o, true, c.remove(rec, dryRun)
	}
	return o, false, c.commit(o, rec, dryRun, "deletion begun by "+c.user.name)
}

// finalizersFor adds the finalizers by which the garbage collector knows what to do with an object's
// dependents, as Kubernetes has it: "orphan" lets them live, "foregroundDeletion" deletes them first.
func finalizersFor(finalizers []string, opts *metav1.DeleteOptions) []string {
	var want string
	switch {
	case opts.PropagationPolicy != nil:
		switch *opts.PropagationPolicy {
		case metav1.DeletePropagationOrphan:
			want = metav1.FinalizerOrphanDependents
		case metav1.DeletePropagationForeground:
			want = metav1.FinalizerDeleteDependents
		}
	//lint:ignore SA1019 old clients send it
	case opts.OrphanDependents != nil:
		//lint:ignore SA1019 old clients send it
		if *opts.OrphanDependents {
			want = metav1.FinalizerOrphanDependents
		}
	default:
		return finalizers
	}
	finalizers = slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
	if want != "" {
		finalizers = append(finalizers, want)
	}
	return finalizers
}

// markDeleted sets when an object is to be gone. A second deletion can only shorten the time (Kubernetes:
// rest.BeforeDelete).
func (c *call) markDeleted(view change.View, o resource.Object, requested *int64) {
	var grace int64
	if d := c.res.Deletion; d != nil && d.Grace != nil {
		grace = d.Grace(o, requested, func(k change.Key) bool { _, ok := view.Get(k); return ok })
	}
	begun := metav1.NewTime(c.now).Rfc3339Copy()
	if when := o.GetDeletionTimestamp(); when != nil {
		var current int64
		if g := o.GetDeletionGracePeriodSeconds(); g != nil {
			current = *g
		}
		if grace >= current || requested == nil && grace > 0 {
			return
		}
		begun = metav1.NewTime(when.Add(-time.Duration(current) * time.Second))
	} else {
		if n := o.GetGeneration(); n > 0 {
			o.SetGeneration(n + 1)
		}
		if d := c.res.Deletion; d != nil && d.Begin != nil {
			d.Begin(o)
		}
	}
	when := metav1.NewTime(begun.Add(time.Duration(grace) * time.Second))
	o.SetDeletionTimestamp(&when)
	o.SetDeletionGracePeriodSeconds(&grace)
}

// mayGo reports whether an object's deletion has begun and nothing holds it any more.
func (c *call) mayGo(o resource.Object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 {
		return false
	}
	if grace := o.GetDeletionGracePeriodSeconds(); grace != nil && *grace > 0 {
		return false
	}
	d := c.res.Deletion
	return d == nil || d.Held == nil || !d.Held(o)
}

// deleteCollection deletes every selected object, one by one, and answers with those that it met.
func (c *call) deleteCollection() error {
	list, err := c.listOptions()
	if err != nil {
		return err
	}
	opts, err := c.deleteOptions()
	if err != nil {
		return err
	}
	f, err := c.format(asTable, asPartialList)
	if err != nil {
		return err
	}
	if c.res.Namespaced && c.namespace == "" {
		return notAllowed()
	}
	sel, err := c.selection(list)
	if err != nil {
		return err
	}
	view := c.Store.View()
	page, meta, err := c.page(view, sel, nil, 0)
	if err != nil {
		return err
	}
	for _, rec := range page {
		err := retry(func() error {
			_, _, err := c.deleteOne(rec.Key, opts)
			return err
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s: %w", rec.Key, err)
		}
	}
	return c.writeList(http.StatusOK, f, meta, page)
}
