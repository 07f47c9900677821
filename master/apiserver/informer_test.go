package apiserver

import (
	"context"
	"fmt"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	clientretry "k8s.io/client-go/util/retry"

	"github.com/skerry-edge/skerry/master/resource"
)

// An informer of client-go (which begins with a watch that sends initial events) sees what there is and what
// comes, in each encoding.
func TestInformer(t *testing.T) {
	t.Parallel()
	for _, media := range []string{mediaJSON, mediaProtobuf} {
		t.Run(media, func(t *testing.T) {
			t.Parallel()
			l := newLive(t)
			for i := range 10 {
				l.put(resource.Pods, pod(fmt.Sprint("before-", i)))
			}
			client := l.client(func(c *rest.Config) { c.ContentType, c.AcceptContentTypes = media, media })
			factory := informers.NewSharedInformerFactory(client, 0)
			informer := factory.Core().V1().Pods()
			seen := make(chan string, 100)
			_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc:    func(o any) { seen <- "add " + o.(*corev1.Pod).Name },
				UpdateFunc: func(_, o any) { seen <- "update " + o.(*corev1.Pod).Name },
				DeleteFunc: func(o any) { seen <- "delete " + o.(*corev1.Pod).Name },
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(bounded(t))
			defer factory.Shutdown()
			defer stop()
			factory.Start(ctx.Done())
			if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
				t.Fatal("the informer never had everything")
			}
			for range 10 {
				<-seen
			}
			pods := client.CoreV1().Pods("default")
			p, err := pods.Create(ctx, pod("after"), metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p.Labels = map[string]string{"a": "b"}
			if _, err := pods.Update(ctx, p, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := pods.Delete(ctx, "after", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"add after", "update after", "delete after"} {
				select {
				case got := <-seen:
					if got != want {
						t.Errorf("the informer saw %q, not %q", got, want)
					}
				case <-ctx.Done():
					t.Fatalf("the informer never saw %q", want)
				}
			}
		})
	}
}

// Many writers of one object that each retry on conflict lose no write.
func TestConcurrentUpdates(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.put(resource.ConfigMaps, configMap("c", nil))
	client := l.client().CoreV1().ConfigMaps("default")
	ctx := bounded(t)
	const writers = 8
	backoff := clientretry.DefaultBackoff
	backoff.Steps = 100
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			err := clientretry.RetryOnConflict(backoff, func() error {
				c, err := client.Get(ctx, "c", metav1.GetOptions{})
				if err != nil {
					return err
				}
				if c.Data == nil {
					c.Data = map[string]string{}
				}
				c.Data[fmt.Sprint(i)] = "wrote"
				_, err = client.Update(ctx, c, metav1.UpdateOptions{})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c, err := client.Get(ctx, "c", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Data) != writers {
		t.Errorf("%d writers left %v", writers, c.Data)
	}
}

// Who has no certificate is told so by TLS and HTTP alike, and a foreign certificate ends the handshake.
func TestCertificates(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	none := l.client(func(c *rest.Config) { c.CertData, c.KeyData = nil, nil })
	if _, err := none.CoreV1().Pods("").List(bounded(t), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("without a certificate: %v", err)
	}
	if v, err := none.Discovery().ServerVersion(); err != nil || v.Minor != "37" {
		t.Errorf("without a certificate the version is %v: %v", v, err)
	}
	stranger := userOf(t, newAuthority(t), "admin", GroupAdmins)
	foreign := l.client(func(c *rest.Config) { c.CertData, c.KeyData = stranger.CertData, stranger.KeyData })
	if _, err := foreign.CoreV1().Pods("").List(bounded(t), metav1.ListOptions{}); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
}
