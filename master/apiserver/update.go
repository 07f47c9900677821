package apiserver

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/skerry-edge/skerry/master/resource"
)

// update replaces an object, or the part of it that the path names. An update that names no resourceVersion is
// unconditional; one that does meets 409 Conflict when it is not the newest.
func (c *call) update(p part) error {
	opts := &metav1.UpdateOptions{}
	if err := metav1.Convert_url_Values_To_v1_UpdateOptions(&c.query, opts, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := invalidOptions("UpdateOptions", validation.ValidateUpdateOptions(opts)); err != nil {
		return err
	}
	f, err := c.format(asTable, asPartial)
	if err != nil {
		return err
	}
	sent := p.new()
	if err := c.decode(p.kind, sent, opts.FieldValidation); err != nil {
		return err
	}
	var updated resource.Object
	err = retry(func() error {
		old, rec, err := c.loadRecord()
		if err != nil {
			return err
		}
		updated, err = c.save(p, sent.DeepCopyObject().(resource.Object), old, rec, len(opts.DryRun) > 0)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, f, p, updated)
}
