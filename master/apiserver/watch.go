package apiserver

import (
	"errors"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
	"github.com/skerry-edge/skerry/master/store"
)

// Times of watches, as Kubernetes has them.
const (
	minWatch      = 30 * time.Minute // without timeoutSeconds; up to twice that, so that not all end at once
	bookmarkEvery = time.Minute
)

// watch streams the writes to the selected objects until the client goes, its time is over, or it falls behind
// the store's history.
func (c *call) watch() error {
	opts, err := c.listOptions()
	if err != nil {
		return err
	}
	f, err := c.format(asTable, asPartial, asPartialList)
	if err != nil {
		return err
	}
	if f.media == mediaYAML {
		return notAcceptable() // a stream of documents has no YAML form
	}
	sel, err := c.selection(opts)
	if err != nil {
		return err
	}
	start, err := c.watchStart(opts)
	if err != nil {
		return err
	}
	release, err := c.limits.watch()
	if err != nil {
		return err
	}
	defer release()

	wake := make(chan struct{}, 1)
	cursor, err := c.Store.Watch(stored(c.res), start.from, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	out := newEventWriter(c, f)
	if err != nil {
		if !errors.Is(err, store.ErrCompacted) {
			return err
		}
		// Kubernetes reports this in the stream, not as the answer's code; client-go takes both.
		out.fail(tooOld(start.from, c.Store.View().Rev()))
		return nil
	}
	defer cursor.Close()

	w := &watching{call: c, sel: sel, cursor: cursor, out: out, bookmarks: opts.AllowWatchBookmarks}
	if start.initial != nil {
		err = w.initial(start.initial, opts.SendInitialEvents != nil)
	}
	if err == nil {
		err = w.follow(wake, watchTime(opts.TimeoutSeconds))
	}
	w.end(err)
	return nil
}

// watchStart is where a watch begins.
type watchStart struct {
	from    change.Rev
	initial change.View // whose objects come first, as if just added; nil for none
}

// watchStart follows Kubernetes' "Semantics for watch": nothing or 0 begins with the objects there are, a
// number behind that revision; sendInitialEvents says it outright.
func (c *call) watchStart(opts *metav1.ListOptions) (watchStart, error) {
	view := c.Store.View()
	asked, err := revision(opts.ResourceVersion)
	if err != nil {
		return watchStart{}, err
	}
	if send := opts.SendInitialEvents; send != nil && *send || send == nil && asked == 0 {
		if asked > view.Rev() {
			return watchStart{}, tooNew(asked, view.Rev())
		}
		return watchStart{from: view.Rev(), initial: view}, nil
	}
	if asked == 0 {
		asked = view.Rev()
	}
	return watchStart{from: asked}, nil
}

func watchTime(seconds *int64) time.Duration {
	if seconds != nil && *seconds > 0 && *seconds < int64(24*time.Hour/time.Second) {
		return time.Duration(*seconds) * time.Second
	}
	return minWatch + rand.N(minWatch)
}

// watching is a watch that runs.
type watching struct {
	*call
	sel       *selection
	cursor    store.Cursor
	out       *eventWriter
	bookmarks bool // the client wants them
}

var errEnded = errors.New("the watch has ended")

// initial sends the objects of a view; marked says that the client waits for the bookmark behind them.
func (w *watching) initial(view change.View, marked bool) error {
	for rec := range records(view, w.res, w.sel) {
		selected, err := w.sel.matches(rec)
		if err != nil {
			return err
		}
		if !selected {
			continue
		}
		if err := w.send(watch.Added, rec, rec.Rev); err != nil {
			return err
		}
	}
	if marked && w.bookmarks {
		if err := w.out.bookmark(view.Rev(), true); err != nil {
			return err
		}
	}
	return w.out.flush()
}

// follow sends what the cursor yields until something ends the watch.
func (w *watching) follow(wake <-chan struct{}, long time.Duration) error {
	over := time.NewTimer(long)
	defer over.Stop()
	tick := time.NewTicker(bookmarkEvery)
	defer tick.Stop()
	for {
		if err := w.drain(); err != nil {
			return err
		}
		select {
		case <-wake:
		case <-tick.C:
			if w.bookmarks {
				if err := w.out.bookmark(w.cursor.Rev(), false); err != nil {
					return err
				}
				if err := w.out.flush(); err != nil {
					return err
				}
			}
		case <-over.C:
			return errEnded
		case <-w.ending:
			return errEnded
		case <-w.ctx.Done():
			return errEnded
		}
	}
}

// drain sends all that has happened.
func (w *watching) drain() error {
	sent := false
	for w.ctx.Err() == nil {
		event, ok, err := w.cursor.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		was, err := w.sel.matches(event.Old)
		if err != nil {
			return err
		}
		is, err := w.sel.matches(event.New)
		if err != nil {
			return err
		}
		replaced, err := isReplaced(event)
		if err != nil {
			return err
		}
		switch {
		case is && was && replaced:
			if err = w.send(watch.Deleted, event.Old, event.Rev); err == nil {
				err = w.send(watch.Added, event.New, event.Rev)
			}
		case is && was:
			err = w.send(watch.Modified, event.New, event.Rev)
		case is:
			err = w.send(watch.Added, event.New, event.Rev)
		case was:
			// Deleted, or no longer selected: the last state that the client may see, at the revision
			// of the write.
			err = w.send(watch.Deleted, event.Old, event.Rev)
		default:
			continue
		}
		if err != nil {
			return err
		}
		sent = true
	}
	if !sent {
		return nil
	}
	return w.out.flush()
}

// isReplaced reports whether one write put another object in the place of the old one, as when a bare pod
// moves: to a client the one has gone and the other has come.
func isReplaced(e change.Event) (bool, error) {
	if e.Key.Kind != resource.Pods.Kind || !e.Old.Exists() || !e.New.Exists() {
		return false, nil
	}
	was, err := resource.Meta(e.Old.Value)
	if err != nil {
		return false, err
	}
	is, err := resource.Meta(e.New.Value)
	return was.UID != is.UID, err
}

func (w *watching) send(kind watch.EventType, rec change.Record, rev change.Rev) error {
	o, err := object(w.res, rec)
	if o == nil || err != nil {
		return err
	}
	o.SetResourceVersion(rev.String())
	return w.out.object(kind, o)
}

// end closes the stream; what ends it too early is said in it.
func (w *watching) end(err error) {
	switch {
	case errors.Is(err, errEnded), errors.Is(err, store.ErrClosed), errors.Is(err, errGone):
	case errors.Is(err, store.ErrCompacted):
		w.out.fail(tooOld(w.cursor.Rev(), w.Store.View().Rev()))
	default:
		w.log.Error().Err(err).Str("kind", string(w.res.Kind)).Msg("watch failed")
		w.out.fail(statusOf(err, w.groupResource(), ""))
	}
}

// bookmarkObject is an object of the kind that carries nothing but a revision.
func bookmarkObject(r *resource.Resource, rev change.Rev, initialEnd bool) resource.Object {
	o := r.New()
	o.GetObjectKind().SetGroupVersionKind(r.GVK)
	o.SetResourceVersion(rev.String())
	if initialEnd {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return o
}
