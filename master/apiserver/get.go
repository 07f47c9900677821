package apiserver

import (
	"net/http"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// get answers with one object, or the part of it that the path names.
func (c *call) get(p part) error {
	f, err := c.format(asTable, asPartial)
	if err != nil {
		return err
	}
	asked, err := revision(c.query.Get("resourceVersion"))
	if err != nil {
		return err
	}
	if now := c.Store.View().Rev(); asked > now {
		return tooNew(asked, now)
	}
	o, err := c.load()
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, f, p, o)
}

// load is the object that the path names.
func (c *call) load() (resource.Object, error) {
	o, _, err := c.loadRecord()
	return o, err
}

// loadRecord is the object that the path names, with its record.
func (c *call) loadRecord() (resource.Object, change.Record, error) {
	rec := find(c.Store.View(), c.res, c.namespace, c.name)
	o, err := object(c.res, rec)
	if err == nil && o == nil {
		err = c.notFound()
	}
	return o, rec, err
}

// answer sends an object, or the part of it that the path names.
func (c *call) answer(code int, f format, p part, o resource.Object) error {
	if p.show != nil {
		f.as = "" // parts have no columns of their own
		c.write(c.w, c.r, code, f, p.show(o))
		return nil
	}
	c.write(c.w, c.r, code, f, c.shown(f, o))
	return nil
}
