package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// What a master answers becomes a table, and nothing in it steers the terminal.
func TestMastersTable(t *testing.T) {
	var list masterList
	err := json.Unmarshal([]byte(`{"epoch":"3.0","etcd":"follower, a leads","items":[
		{"name":"a","role":"leader","alive":true,"api":"https://a:6443","version":"v1","revision":"12"},
		{"name":"b\u001b[2J","role":"follower","self":true,"api":"https://b:6443","version":"v1"}]}`), &list)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printMasters(&out, list); err != nil {
		t.Fatal(err)
	}
	want := `Epoch 3.0; etcd: follower, a leads
NAME              ROLE       ALIVE   REVISION   VERSION   API
a                 leader     yes     12         v1        https://a:6443
b�[2J (answers)   follower   no                 v1        https://b:6443
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}

// A conflict is shown as something that can be applied again.
func TestShowConflict(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	all, err := readConflicts([]byte(`{"items":[
		{"id":"0a","kind":"configmaps","namespace":"default","name":"c","master":"a","reason":"another master has written it since","found":"2026-05-04T03:00:01Z",
		 "object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"default","uid":"u","resourceVersion":"1"},"data":{"a":"b"},"status":{}}},
		{"id":"0b","kind":"pods","namespace":"default","name":"p","master":"a","reason":"another master has written it since","found":"2026-05-04T03:00:01Z","deleted":true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if err := printConflicts(&out, all, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0a", "configmaps/c", "change", "deletion", "2m ago", "another master has written it since"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	streams := genericiooptions.IOStreams{Out: &out, ErrOut: &errs}
	for id, want := range map[string]string{
		"0a": "apiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\nmetadata:\n  name: c\n  namespace: default\n",
		"0b": "pods/p was deleted there",
		"0c": "there is no conflict 0c",
	} {
		out.Reset()
		if err := showConflict(streams, all, id); err != nil {
			out.WriteString(err.Error())
		}
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: %s", id, &out)
		}
	}
}
