package apiserver

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/skerry-edge/skerry/master/resource"
)

// maxPatchOperations bounds a JSON patch, as Kubernetes has it.
const maxPatchOperations = 10000

// patch changes an object, or the part of it that the path names. A patch without a resourceVersion is made
// anew on what somebody else has written meanwhile.
func (c *call) patch(p part) error {
	opts := &metav1.PatchOptions{}
	if err := metav1.Convert_url_Values_To_v1_PatchOptions(&c.query, opts, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	apply, err := patcher(types.PatchType(kind), p)
	if err != nil {
		return err
	}
	if err := invalidOptions("PatchOptions", validation.ValidatePatchOptions(opts, types.PatchType(kind))); err != nil {
		return err
	}
	f, err := c.format(asTable, asPartial)
	if err != nil {
		return err
	}
	diff, err := c.body()
	if err != nil {
		return err
	}
	var updated resource.Object
	err = retry(func() error {
		old, rec, err := c.loadRecord()
		if err != nil {
			return err
		}
		before, err := json.Marshal(p.view(old))
		if err != nil {
			return fmt.Errorf("encode %s: %w", c.res.Singular, err)
		}
		after, err := apply(before, diff)
		if err != nil {
			return err
		}
		if len(after) > maxBody {
			return &http.MaxBytesError{Limit: maxBody}
		}
		input := p.new()
		if err := c.decodeBytes(after, mediaJSON, p.kind, input, opts.FieldValidation); err != nil {
			return err
		}
		updated, err = c.save(p, input, old, rec, len(opts.DryRun) > 0)
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, f, p, updated)
}

// patcher is how a kind of patch is applied to an encoded object.
func patcher(kind types.PatchType, p part) (func(document, patch []byte) ([]byte, error), error) {
	switch kind {
	case types.JSONPatchType:
		return applyJSONPatch, nil
	case types.MergePatchType:
		return func(document, patch []byte) ([]byte, error) {
			after, err := jsonpatch.MergePatch(document, patch)
			if err != nil {
				return nil, apierrors.NewBadRequest(err.Error())
			}
			return after, nil
		}, nil
	case types.StrategicMergePatchType:
		return func(document, patch []byte) ([]byte, error) {
			after, err := strategicpatch.StrategicMergePatch(document, patch, p.new())
			if err != nil {
				return nil, apierrors.NewBadRequest(err.Error())
			}
			return after, nil
		}, nil
	case types.ApplyYAMLPatchType, types.ApplyCBORPatchType:
		return nil, unsupportedMedia("server-side apply is not supported by skerry; use client-side apply: leave out --server-side")
	}
	return nil, unsupportedMedia(fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s, %s, %s",
		types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType))
}

// applyJSONPatch applies RFC 6902. Operations that copy are applied one by one, for each can double the
// document.
func applyJSONPatch(document, patch []byte) ([]byte, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if len(operations) > maxPatchOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOperations, len(operations)))
	}
	for len(operations) > 0 {
		n := 0
		for n < len(operations) && operations[n].Kind() != "copy" {
			n++
		}
		if n == 0 {
			n = 1
		}
		document, err = operations[:n].Apply(document)
		if err != nil {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
		}
		if len(document) > maxBody {
			return nil, &http.MaxBytesError{Limit: maxBody}
		}
		operations = operations[n:]
	}
	return document, nil
}
