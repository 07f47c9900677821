package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// What is asked for is the person, their groups and a key of their own.
func TestUserRequest(t *testing.T) {
	t.Parallel()
	text, key, err := newRequest("alice", []string{"dev", "skerry:viewers"})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || request.CheckSignature() != nil {
		t.Fatal(err)
	}
	if s := request.Subject; s.CommonName != "alice" || !slices.Equal(s.Organization, []string{"dev", "skerry:viewers"}) {
		t.Errorf("the subject is %v", s)
	}
	if _, err := tls.X509KeyPair(text, key); err == nil {
		t.Error("a request passes as a certificate")
	}
	if _, another, err := newRequest("alice", nil); err != nil || string(another) == string(key) {
		t.Errorf("the key is not their own: %v", err)
	}
}

// The kubeconfig leads where ours does, also when that has its authority in a file's place, and holds nothing of ours.
func TestUserKubeconfig(t *testing.T) {
	t.Parallel()
	ours := &rest.Config{Host: "https://192.0.2.1:6443", BearerToken: "our token", TLSClientConfig: rest.TLSClientConfig{
		CAData: []byte("authority"), CertData: []byte("our certificate"), KeyData: []byte("our key"), ServerName: "master",
	}}
	text, err := userKubeconfig(ours, "bob", "shop", []byte("their certificate"), []byte("their key"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := clientcmd.RESTConfigFromKubeConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if theirs.Host != ours.Host || string(theirs.CAData) != "authority" || theirs.ServerName != "master" || theirs.BearerToken != "" ||
		string(theirs.CertData) != "their certificate" || string(theirs.KeyData) != "their key" {
		t.Errorf("it is %s", text)
	}
	config, err := clientcmd.Load(text)
	if err != nil || config.Contexts[config.CurrentContext].Namespace != "shop" {
		t.Errorf("it begins elsewhere: %s, %v", text, err)
	}
	ours.CAData, ours.CAFile = nil, "/nonexistent"
	if _, err := userKubeconfig(ours, "bob", "", nil, nil); err == nil {
		t.Error("a kubeconfig without an authority was made")
	}
}
