package apiserver

import (
	"cmp"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
)

// list answers with the objects of a kind, or a page of them, all of one revision.
func (c *call) list() error {
	opts, err := c.listOptions()
	if err != nil {
		return err
	}
	f, err := c.format(asTable, asPartialList)
	if err != nil {
		return err
	}
	sel, err := c.selection(opts)
	if err != nil {
		return err
	}
	view, from, err := c.viewFor(opts)
	if err != nil {
		return err
	}
	page, meta, err := c.page(view, sel, from, opts.Limit)
	if err != nil {
		return err
	}
	return c.writeList(http.StatusOK, f, meta, page)
}

// viewFor is the view that the options ask for, and where in it the page begins. The rules are Kubernetes'
// ("Semantics for get and list"): nothing or 0 or NotOlderThan is served from the newest; Exact from that
// revision or not at all.
func (c *call) viewFor(opts *metav1.ListOptions) (change.View, *position, error) {
	view := c.Store.View()
	if opts.Continue != "" {
		if opts.ResourceVersion != "" && opts.ResourceVersion != "0" {
			return nil, nil, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		from, err := parsePosition(opts.Continue)
		if err != nil {
			return nil, nil, err
		}
		if from.Rev == 0 || from.Rev == view.Rev() {
			return view, &from, nil
		}
		kept, ok := c.snapshots.at(from.Rev)
		if !ok {
			return nil, nil, from.expired()
		}
		return kept, &from, nil
	}
	asked, err := revision(opts.ResourceVersion)
	if err != nil {
		return nil, nil, err
	}
	// Without a match a limited list of a revision is of exactly that one.
	exact := opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact ||
		opts.ResourceVersionMatch == "" && opts.Limit > 0 && asked > 0
	switch {
	case asked > view.Rev():
		return nil, nil, tooNew(asked, view.Rev())
	case !exact || asked == view.Rev():
		return view, nil, nil
	}
	kept, ok := c.snapshots.at(asked)
	if !ok {
		return nil, nil, tooOld(asked, view.Rev())
	}
	return kept, nil, nil
}

// page selects at most limit records, 0 for all, and says what the list's metadata is. Which records a page has goes by
// their keys, also where they come in another order on it.
func (c *call) page(view change.View, sel *selection, from *position, limit int64) ([]change.Record, metav1.ListMeta, error) {
	meta := metav1.ListMeta{ResourceVersion: view.Rev().String()}
	var page []change.Record
	var left int64
	for rec := range records(view, c.res, sel) {
		if from != nil && !from.after(rec.Key) {
			continue
		}
		selected, err := sel.matches(rec)
		if err != nil {
			return nil, meta, err
		}
		if !selected {
			continue
		}
		if limit == 0 || int64(len(page)) < limit {
			page = append(page, rec)
			continue
		}
		left++
		if !sel.all() {
			break // Kubernetes counts the rest only where nothing is selected
		}
	}
	if left > 0 {
		last := page[len(page)-1].Key
		meta.Continue = position{Rev: view.Rev(), After: last.Namespace + "/" + last.Name}.token()
		if sel.all() {
			meta.RemainingItemCount = &left
		}
		c.snapshots.keep(view)
	}
	if c.res.Chronological {
		if err := c.inOrder(page); err != nil {
			return nil, meta, err
		}
	}
	return page, meta, nil
}

// inOrder sorts records by their last writes, and those that were written together by their uids, which are in the
// order in which the events that Skerry writes have happened.
func (c *call) inOrder(page []change.Record) (failed error) {
	uid := func(rec change.Record) types.UID {
		m, err := metadata(c.res, rec)
		if err != nil {
			failed = err
			return ""
		}
		return m.GetUID()
	}
	slices.SortFunc(page, func(a, b change.Record) int {
		if n := cmp.Compare(a.Rev, b.Rev); n != 0 {
			return n
		}
		return cmp.Compare(uid(a), uid(b))
	})
	return failed
}

// all reports whether no selector is at work.
func (s *selection) all() bool { return s.labels.Empty() && s.fields.Empty() }
