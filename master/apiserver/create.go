package apiserver

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// Generated names, as Kubernetes makes them: five random letters behind the prefix, other ones when the name is
// taken.
const (
	nameSuffix      = 5
	maxNamePrefix   = 63 - nameSuffix
	nameGenerations = 8
)

// createOptions reads and checks the query of a create.
func (c *call) createOptions() (*metav1.CreateOptions, error) {
	opts := &metav1.CreateOptions{}
	if err := metav1.Convert_url_Values_To_v1_CreateOptions(&c.query, opts, nil); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return opts, invalidOptions("CreateOptions", validation.ValidateCreateOptions(opts))
}

// create stores a new object.
func (c *call) create() error {
	opts, err := c.createOptions()
	if err != nil {
		return err
	}
	f, err := c.format(asTable, asPartial)
	if err != nil {
		return err
	}
	if c.res.Namespaced && c.namespace == "" {
		return notAllowed()
	}
	sent := c.res.New()
	if err := c.decode(c.res.GVK, sent, opts.FieldValidation); err != nil {
		return err
	}
	if err := c.adopt(sent); err != nil {
		return err
	}
	for range nameGenerations {
		o := sent.DeepCopyObject().(resource.Object)
		if o.GetName() == "" && o.GetGenerateName() != "" {
			prefix := o.GetGenerateName()
			o.SetName(prefix[:min(len(prefix), maxNamePrefix)] + rand.String(nameSuffix))
		}
		c.trail.entry.Name = o.GetName()
		err = retry(func() error { return c.insert(o, len(opts.DryRun) > 0) })
		if err == nil {
			c.write(c.w, c.r, http.StatusCreated, f, c.shown(f, o))
			return nil
		}
		if sent.GetName() != "" || !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return err
}

// adopt gives a new object its place and takes from it what only the server says.
func (c *call) adopt(o resource.Object) error {
	if o.GetNamespace() == "" {
		o.SetNamespace(c.namespace)
	}
	if o.GetNamespace() != c.namespace {
		if !c.res.Namespaced {
			o.SetNamespace("")
		} else {
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
	}
	if o.GetResourceVersion() != "" {
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	o.SetUID(uuid.NewUUID())
	o.SetCreationTimestamp(metav1.NewTime(c.now).Rfc3339Copy())
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	dropServerFields(o)
	if c.res.Default != nil {
		c.res.Default(o)
	}
	if c.res.PrepareCreate != nil {
		c.res.PrepareCreate(o)
	}
	return nil
}

// insert admits, checks and stores a new object that has its name.
func (c *call) insert(o resource.Object, dryRun bool) error {
	view := c.Store.View()
	guards, err := c.admitCreate(view, o)
	if err != nil {
		return err
	}
	if c.res.Validate != nil {
		if err := c.invalid(o.GetName(), c.res.Validate(o, nil)); err != nil {
			return err
		}
	}
	exists := apierrors.NewAlreadyExists(c.groupResource(), o.GetName())
	rec := find(view, c.res, c.namespace, o.GetName())
	if rec.Exists() {
		return exists
	}
	err = c.commit(o, rec, dryRun, "created by "+c.user.name, guards...)
	if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) && conflict.Key == c.res.Key(c.namespace, o.GetName()) {
		return exists
	}
	return err
}
