package garbage

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skerry-edge/skerry/master/change"
	"github.com/skerry-edge/skerry/master/resource"
)

// owners collects by ownerReferences, as Kubernetes' garbage collector does.
type owners struct {
	refs     map[change.Key][]types.UID // the owners that an object names
	children map[types.UID]map[change.Key]bool
	ending   map[types.UID]change.Key // being deleted, and held for the sake of its dependents
	dirty    map[change.Key]bool
}

func (o *owners) reset() {
	o.refs = map[change.Key][]types.UID{}
	o.children = map[types.UID]map[change.Key]bool{}
	o.ending = map[types.UID]change.Key{}
	o.dirty = map[change.Key]bool{}
}

func (o *owners) observe(e change.Event, _ bool) {
	if e.Key.Kind == resource.Events.Kind {
		return // events have no owners, and there are many
	}
	var old, now metav1.ObjectMeta
	if e.Old.Exists() {
		old, _ = resource.Meta(e.Old.Value)
	}
	exists := false
	if e.New.Exists() {
		var err error
		now, err = resource.Meta(e.New.Value)
		exists = err == nil
	}
	if e.Old.Exists() && (!exists || old.UID != now.UID) {
		o.gone(old.UID)
	}
	changed := o.relate(e.Key, now.OwnerReferences)
	if !exists {
		delete(o.dirty, e.Key)
		return
	}
	if held(&now) {
		o.ending[now.UID] = e.Key
	} else {
		delete(o.ending, now.UID)
	}
	if held(&now) || changed && len(now.OwnerReferences) > 0 {
		o.dirty[e.Key] = true
	}
}

// held reports whether an object waits for what becomes of its dependents.
func held(meta *metav1.ObjectMeta) bool {
	return meta.DeletionTimestamp != nil && (slices.Contains(meta.Finalizers, metav1.FinalizerDeleteDependents) ||
		slices.Contains(meta.Finalizers, metav1.FinalizerOrphanDependents))
}

// gone marks the dependents of an object that is no more.
func (o *owners) gone(uid types.UID) {
	delete(o.ending, uid)
	for child := range o.children[uid] {
		o.dirty[child] = true
	}
}

// relate takes over whom an object names as owners, and reports whether that is new. Owners that wait for
// their dependents look again.
func (o *owners) relate(key change.Key, refs []metav1.OwnerReference) (changed bool) {
	before := o.refs[key]
	var now []types.UID
	for _, ref := range refs {
		now = append(now, ref.UID)
	}
	if slices.Equal(before, now) {
		return false
	}
	for _, uid := range before {
		delete(o.children[uid], key)
		if len(o.children[uid]) == 0 {
			delete(o.children, uid)
		}
	}
	delete(o.refs, key)
	if len(now) > 0 {
		o.refs[key] = now
	}
	for _, uid := range now {
		if o.children[uid] == nil {
			o.children[uid] = map[change.Key]bool{}
		}
		o.children[uid][key] = true
	}
	for _, uid := range append(before, now...) {
		if owner, ok := o.ending[uid]; ok {
			o.dirty[owner] = true
		}
	}
	return true
}

func (o *owners) plan(p *plan) {
	for _, key := range slices.SortedFunc(maps.Keys(o.dirty), byKey) {
		if p.full() {
			return
		}
		rec, ok := p.view.Get(key)
		if !ok || settled(p.view, rec) {
			delete(o.dirty, key)
			continue
		}
		object, err := resource.ByKind(key.Kind).Decode(rec)
		if err != nil || !o.collect(p, object, rec) {
			// Otherwise it stays dirty until the write comes back as an event: it may fail.
			delete(o.dirty, key)
		}
	}
}

// settled reports whether an object needs no closer look: it holds nobody, and all its owners are there. At the
// start of a master that is so of nearly everything.
func settled(view change.View, rec change.Record) bool {
	meta, err := resource.Meta(rec.Value)
	if err != nil || held(&meta) {
		return false
	}
	for _, ref := range meta.OwnerReferences {
		if owner, exists := lookup(view, meta.Namespace, ref); !exists || owner != nil && owner.DeletionTimestamp != nil {
			return false
		}
	}
	return true
}

// collect does what is to be done about one object, and reports whether that is a write.
func (o *owners) collect(p *plan, object resource.Object, rec change.Record) bool {
	if object.GetDeletionTimestamp() != nil {
		switch finalizers := object.GetFinalizers(); {
		case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
			return o.orphan(p, object, rec)
		case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
			return o.foreground(p, object, rec)
		}
	}
	return o.dependent(p, object, rec)
}

// dependent deletes an object whose owners are gone, or that an owner waits for. Where one owner is left, the
// references to the others are taken off.
func (o *owners) dependent(p *plan, object resource.Object, rec change.Record) bool {
	var solid, dangling, waiting []metav1.OwnerReference
	for _, ref := range object.GetOwnerReferences() {
		switch owner, exists := lookup(p.view, object.GetNamespace(), ref); {
		case !exists:
			dangling = append(dangling, ref)
		case owner != nil && owner.DeletionTimestamp != nil && slices.Contains(owner.Finalizers, metav1.FinalizerDeleteDependents):
			waiting = append(waiting, ref)
		default:
			solid = append(solid, ref)
		}
	}
	switch {
	case len(solid) > 0 && len(dangling)+len(waiting) > 0:
		object.SetOwnerReferences(solid)
		return put(p, object, rec, "some of its owners are gone")
	case len(waiting) > 0:
		// In the foreground, too, if it has dependents of its own.
		if len(o.children[object.GetUID()]) > 0 && object.GetDeletionTimestamp() == nil {
			object.SetFinalizers(append(object.GetFinalizers(), metav1.FinalizerDeleteDependents))
		}
		return o.remove(p, object, rec, "its owner is being deleted in the foreground")
	case len(dangling) > 0:
		return o.remove(p, object, rec, "its owner "+dangling[0].Kind+" "+dangling[0].Name+" is gone")
	}
	return false
}

// lookup is the metadata of an owner. An owner of a kind that isn't served counts as there, unseen.
func lookup(view change.View, namespace string, ref metav1.OwnerReference) (owner *metav1.ObjectMeta, exists bool) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, true
	}
	r := resource.ByGVK(gv.WithKind(ref.Kind))
	if r == nil || r.RenderedFrom != "" {
		return nil, true
	}
	if !r.Namespaced {
		namespace = ""
	}
	rec, ok := view.Get(r.Key(namespace, ref.Name))
	if !ok {
		return nil, false
	}
	meta, err := resource.Meta(rec.Value)
	if err != nil {
		return nil, true
	}
	return &meta, meta.UID == ref.UID
}

// remove deletes a dependent, as a client would.
func (o *owners) remove(p *plan, object resource.Object, rec change.Record, reason string) bool {
	if object.GetDeletionTimestamp() != nil {
		return false
	}
	return p.claim(rec.Key) && p.open().Delete(resource.ByKind(rec.Key.Kind), object, rec.Rev, reason)
}

// foreground deletes the dependents of an owner, and then lets it go.
func (o *owners) foreground(p *plan, owner resource.Object, rec change.Record) (written bool) {
	blocked := false
	for _, child := range o.dependents(p, owner) {
		for _, ref := range child.object.GetOwnerReferences() {
			if ref.UID == owner.GetUID() && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion {
				blocked = true
			}
		}
		if o.dependent(p, child.object, child.rec) {
			written = true
		}
	}
	if blocked {
		return written
	}
	return finish(p, owner, rec, metav1.FinalizerDeleteDependents, "its dependents are gone") || written
}

// orphan takes an owner's name off its dependents, and then lets it go.
func (o *owners) orphan(p *plan, owner resource.Object, rec change.Record) (written bool) {
	children := o.dependents(p, owner)
	for _, child := range children {
		child.object.SetOwnerReferences(slices.DeleteFunc(child.object.GetOwnerReferences(), func(ref metav1.OwnerReference) bool {
			return ref.UID == owner.GetUID()
		}))
		if put(p, child.object, child.rec, "its owner is deleted and leaves it behind") {
			written = true
		}
	}
	if len(children) > 0 {
		return written
	}
	return finish(p, owner, rec, metav1.FinalizerOrphanDependents, "its dependents are orphans")
}

type dependent struct {
	object resource.Object
	rec    change.Record
}

// dependents are the objects that name an owner, as the view has them, by kind, namespace and name.
func (o *owners) dependents(p *plan, owner resource.Object) (out []dependent) {
	for _, key := range slices.SortedFunc(maps.Keys(o.children[owner.GetUID()]), byKey) {
		rec, ok := p.view.Get(key)
		if !ok {
			continue
		}
		if object, err := resource.ByKind(key.Kind).Decode(rec); err == nil {
			out = append(out, dependent{object, rec})
		}
	}
	return out
}

// finish takes a finalizer off, and deletes the object when nothing else holds it.
func finish(p *plan, object resource.Object, rec change.Record, finalizer, reason string) bool {
	object.SetFinalizers(slices.DeleteFunc(object.GetFinalizers(), func(f string) bool { return f == finalizer }))
	grace := object.GetDeletionGracePeriodSeconds()
	r := resource.ByKind(rec.Key.Kind)
	holds := r.Deletion != nil && r.Deletion.Held != nil && r.Deletion.Held(object)
	if len(object.GetFinalizers()) > 0 || holds || grace != nil && *grace > 0 {
		return put(p, object, rec, reason)
	}
	if !p.claim(rec.Key) {
		return false
	}
	p.open().Drop(rec, reason)
	return true
}

func put(p *plan, object resource.Object, rec change.Record, reason string) bool {
	if !p.claim(rec.Key) {
		return false
	}
	p.open().Put(resource.ByKind(rec.Key.Kind), object, rec.Rev, reason)
	return true
}

func byKey(a, b change.Key) int {
	if n := strings.Compare(string(a.Kind), string(b.Kind)); n != 0 {
		return n
	}
	if n := strings.Compare(a.Namespace, b.Namespace); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}
