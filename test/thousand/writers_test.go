package thousand

import (
	"fmt"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

const configMaps = "/api/v1/namespaces/default/configmaps"

// writers make ConfigMaps as fast as a master acknowledges them, each until it is refused one.
type writers struct {
	running sync.WaitGroup

	mu           sync.Mutex
	acknowledged map[string]string // by name, what is in it
}

func startWriters(m *master, count int) *writers {
	w := &writers{acknowledged: map[string]string{}}
	for i := range count {
		w.running.Go(func() {
			for n := 0; ; n++ {
				var c corev1.ConfigMap
				c.APIVersion, c.Kind = "v1", "ConfigMap"
				c.Name = fmt.Sprintf("write-%d-%d", i, n)
				c.Data = map[string]string{"text": fmt.Sprintf("the %d. of writer %d", n, i)}
				if m.call(http.MethodPost, configMaps, c, nil) != nil {
					return
				}
				w.mu.Lock()
				w.acknowledged[c.Name] = c.Data["text"]
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// lost are the names of the acknowledged ConfigMaps that a master does not have as they were written.
func (w *writers) lost(m *master) (names []string) {
	m.t.Helper()
	w.running.Wait()
	var list corev1.ConfigMapList
	m.must(http.MethodGet, configMaps, nil, &list)
	there := map[string]string{}
	for _, c := range list.Items {
		there[c.Name] = c.Data["text"]
	}
	for name, text := range w.acknowledged {
		if there[name] != text {
			names = append(names, name)
		}
	}
	return names
}
