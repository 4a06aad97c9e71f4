package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"abt2.dev"
	"abt2.dev/lane/stamp"
)

// maxAnswer bounds the answer to an operator's call, in bytes.
const maxAnswer = 4 << 20

// naviCaller sends operators' calls by Navi-rpc over HTTP, as lane/navi does for
// modules. It implements abt2.Caller.
type naviCaller struct{ http *http.Client }

func (n naviCaller) Call(ctx context.Context, q abt2.CallRequest, to *abt2.CallAnswer) error {
	arguments := []json.RawMessage{}
	for _, a := range q.Arguments {
		arguments = append(arguments, json.RawMessage(a))
	}
	env := to.Environment.String()
	body, err := json.Marshal(map[string]any{
		"traceId": 1, "method": q.Method, "parameters": arguments, "paramterTypes": q.Types, // Navi's spelling
		"appId": nil, "token": nil, "abt2Env": env,
	})
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "arguments of %s", q.Method)
	}
	u := url.URL{Scheme: "http", Host: to.Address, Path: "/service_api/" + q.Interface}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return abt2.Wrap(abt2.CodeInvalid, err, "interface %q", q.Interface)
	}
	req.Header.Set("Content-Type", "application/baidu.json;charset=UTF-8")
	req.Header.Set(stamp.EnvHeader, env)
	req.Header.Set(stamp.ToHeader, to.Version.String()+"/"+string(to.Instance))
	res, err := n.http.Do(req)
	if err != nil {
		return abt2.Wrap(abt2.CodeUnavailable, err, "%s of %s", to.Instance, to.Version)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return abt2.Wrap(abt2.CodeUnavailable, err, "%s of %s: the answer breaks off", to.Instance, to.Version)
	case len(b) > maxAnswer:
		return abt2.Errorf(abt2.CodeFailed, "%s of %s: the answer is longer than %d bytes", to.Instance, to.Version, maxAnswer)
	}
	var answer struct {
		Status *int            `json:"status"`
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Message string `json:"message"`
			Cause   *struct {
				Message string `json:"message"`
			} `json:"cause"`
		} `json:"error"`
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.Status == nil {
		return abt2.Errorf(abt2.CodeFailed, "%s of %s: status %s, and no answer of Navi's at /service_api/%s; does it serve Navi-rpc under that name?", to.Instance, to.Version, res.Status, q.Interface)
	}
	to.Status, to.Result = *answer.Status, string(answer.Result)
	if answer.Error != nil {
		to.Message = answer.Error.Message
		if answer.Error.Cause != nil && answer.Error.Cause.Message != "" {
			to.Message = answer.Error.Cause.Message
		}
	}
	return nil
}
