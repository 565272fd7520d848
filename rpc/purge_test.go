package rpc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"crush/dag"
)

func TestPurge(t *testing.T) {
	r := serve(t, nil)
	ctx := t.Context()
	if _, err := r.client.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("secret")}); err != nil {
		t.Fatal(err)
	}
	claim := Claim{Author: "sam", Message: "leaked"}
	done, err := r.client.Purge(ctx, PurgeRequest{Key: "k", Claim: claim})
	if err != nil || done != (Purged{Key: "k", Values: 1, Block: dag.BlockID{9}}) {
		t.Errorf("%+v, %v", done, err)
	}
	if asked := r.fake.last.(PurgeRequest); asked.Claim != claim {
		t.Errorf("claimed %+v", asked.Claim)
	}
	if _, err := r.client.Purge(ctx, PurgeRequest{Name: "nothing", Claim: claim}); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
	for e, err := range r.client.Log(ctx, LogRequest{KeyRef: KeyRef{Key: "k"}, Values: true}) {
		if err != nil || e.Value != nil || e.Purged == nil || e.Purged.Why != "leaked" || e.Purged.Author != "sam" {
			t.Errorf("%+v, %v", e, err)
		}
	}
	for _, body := range []string{`{}`, `{"key":"k","name":"k"}`, `{"key":""}`, `{"revision":"abcdef","key":"k"}`, `{"why":"x"}`} {
		w := call(NewHandler(HandlerConfig{Service: newFake().service()}), "POST", "/api/v1/purge", strings.NewReader(body))
		if w.Code != 400 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestPurgeInfo(t *testing.T) {
	gone := PurgeInfo{Block: dag.BlockID{1}, Node: "n", Author: "sam", Time: time.UnixMilli(1_700_000_000_123), Why: "leaked"}
	if text := gone.String(); text != "purged by sam on n at 2023-11-14T22:13:20Z: leaked" {
		t.Error(text)
	}
	gone.Author = ""
	if text := gone.String(); text != "purged by n at 2023-11-14T22:13:20Z: leaked" {
		t.Error(text)
	}
	if text := (&PurgeInfo{Why: "not yet"}).String(); text != "not yet" {
		t.Error(text)
	}
}
