package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// What a master answers becomes a table, and nothing in it steers the terminal.
func TestMastersTable(t *testing.T) {
	var list masterList
	err := json.Unmarshal([]byte(`{"epoch":"3.0","etcd":"follower, a leads","cutOff":"yield","items":[
		{"name":"a","role":"leader","alive":true,"api":"https://a:6443","version":"v1","revision":"12"},
		{"name":"b\u001b[2J","role":"follower","self":true,"api":"https://b:6443","version":"v1"}]}`), &list)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printMasters(&out, list); err != nil {
		t.Fatal(err)
	}
	want := `Epoch 3.0; etcd: follower, a leads; when cut off: yield
NAME              ROLE       ALIVE   REVISION   VERSION   API
a                 leader     yes     12         v1        https://a:6443
b�[2J (answers)   follower   no                 v1        https://b:6443
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}

// A master is named as the list names it, or by its id where that is not enough.
func TestFindMaster(t *testing.T) {
	var list masterList
	if err := json.Unmarshal([]byte(`{"items":[{"name":"a","id":"1"},{"name":"vm","id":"2"},{"name":"vm","id":"3"}]}`), &list); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "1", "3": "3", "vm": "2 masters are called vm; name one by its id, of 2, 3", "b": "there is no master b"} {
		id, err := list.find(name)
		if err != nil {
			id = err.Error()
		}
		if !strings.HasPrefix(id, want) {
			t.Errorf("%s: %s", name, id)
		}
	}
}
