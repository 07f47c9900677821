package store_test

import (
	"testing"

	"github.com/skerry-edge/skerry/master/store"
	"github.com/skerry-edge/skerry/master/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T, config store.Config) storetest.Store {
		m := store.NewMemory(config)
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		return m
	})
}
