package disconf

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"abt2.dev"
)

// Web is how a disconf-web is reached. The user must be allowed to change the
// apps that the products are called like.
type Web struct {
	URL            string // http or https, with the path it is served below, if any
	User, Password string
}

// Limits of an exchange with disconf-web.
const (
	webTimeout = 10 * time.Second
	webMost    = 16 << 20 // bytes of an answer
)

// loginError is the status of an answer to somebody who is not signed in.
const loginError = 2006

// webAPI speaks the HTTP interface of a disconf-web, as its own pages do. It signs
// in when it is told to. It is safe for concurrent use.
type webAPI struct {
	Web
	client *http.Client
}

func newWebAPI(w Web) (*webAPI, error) {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, abt2.Errorf(abt2.CodeInvalid, "--disconf-web %q: must be a URL like http://10.0.0.8:8080", w.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, abt2.Errorf(abt2.CodeInvalid, "--disconf-web at %s: must be an address and a path; user and password are settings of their own", u.Host)
	case w.User == "" || w.Password == "":
		return nil, abt2.Errorf(abt2.CodeInvalid, "--disconf-web-user-file with user %q: needs a name and a password", w.User)
	}
	w.URL = strings.TrimSuffix(w.URL, "/")
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &webAPI{w, &http.Client{
		Jar: jar, Timeout: webTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a password goes nowhere else
	}}, nil
}

// webAnswer is the envelope of disconf-web's answers, under HTTP's status 200
// whether it did what it was asked or not.
type webAnswer struct {
	Success string          `json:"success"`
	Status  int             `json:"status"`
	Message json.RawMessage `json:"message"`
	Result  json.RawMessage `json:"result"`
	Page    struct {
		Result json.RawMessage `json:"result"`
	} `json:"page"`
}

// do asks as whoever is signed in, and signs in first if it must.
func (a *webAPI) do(ctx context.Context, method, path string, form url.Values) (webAnswer, error) {
	answer, err := a.ask(ctx, method, path, form)
	if err == nil && answer.Success != "true" && answer.Status == loginError {
		if err := a.signIn(ctx); err != nil {
			return webAnswer{}, err
		}
		answer, err = a.ask(ctx, method, path, form)
	}
	if err == nil && answer.Success != "true" {
		err = abt2.Errorf(abt2.CodeFailed, "disconf-web %s: %s %s: it says %s", a.URL, method, path, short(string(answer.Message)))
	}
	return answer, err
}

func (a *webAPI) signIn(ctx context.Context) error {
	answer, err := a.ask(ctx, http.MethodPost, "/api/account/signin", url.Values{"name": {a.User}, "password": {a.Password}, "remember": {"0"}})
	if err == nil && answer.Success != "true" {
		err = abt2.Errorf(abt2.CodeUnauthorized, "disconf-web %s: does not let user %q in: it says %s", a.URL, a.User, short(string(answer.Message)))
	}
	return err
}

func (a *webAPI) ask(ctx context.Context, method, path string, form url.Values) (webAnswer, error) {
	body, err := a.exchange(ctx, method, path, form)
	if err != nil {
		return webAnswer{}, err
	}
	var out webAnswer
	if err := json.Unmarshal(body, &out); err != nil {
		return webAnswer{}, abt2.Wrap(abt2.CodeFailed, err, "disconf-web %s: %s %s: its answer is not a disconf-web's: %s", a.URL, method, path, short(string(body)))
	}
	return out, nil
}

func (a *webAPI) exchange(ctx context.Context, method, path string, form url.Values) ([]byte, error) {
	at, content := a.URL+path, ""
	if method == http.MethodGet {
		at += "?" + form.Encode()
	} else {
		content = form.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(content))
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeInternal, err, "disconf-web %s: %s %s", a.URL, method, path)
	}
	if content != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
	}
	res, err := a.client.Do(r)
	if err != nil {
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "disconf-web %s", a.URL)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, webMost+1))
	switch {
	case err != nil:
		return nil, abt2.Wrap(abt2.CodeUnavailable, err, "disconf-web %s: %s %s", a.URL, method, path)
	case len(body) > webMost:
		return nil, abt2.Errorf(abt2.CodeFailed, "disconf-web %s: %s %s: its answer is longer than %d MiB", a.URL, method, path, webMost>>20)
	case res.StatusCode != http.StatusOK:
		return nil, abt2.Errorf(abt2.CodeUnavailable, "disconf-web %s: %s %s: it answers %s", a.URL, method, path, res.Status)
	}
	return body, nil
}

// prefix is the folder of disconf-web's nodes in ZooKeeper.
func (a *webAPI) prefix(ctx context.Context) (string, error) {
	return a.value(ctx, "/api/zoo/prefix", nil)
}

// fetch returns a value as clients get it.
func (a *webAPI) fetch(ctx context.Context, there webApp, k key) (string, error) {
	folder, name, _ := strings.Cut(string(k), "/")
	form := url.Values{"app": {there.name}, "version": {there.version}, "env": {there.env}, "key": {name}}
	if folder == "file" {
		body, err := a.exchange(ctx, http.MethodGet, "/api/config/file", form)
		return string(body), err
	}
	return a.value(ctx, "/api/config/item", form)
}

// value asks what is answered by a ValueVo, for anybody.
func (a *webAPI) value(ctx context.Context, path string, form url.Values) (string, error) {
	body, err := a.exchange(ctx, http.MethodGet, path, form)
	if err != nil {
		return "", err
	}
	var out struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		Value   string `json:"value"`
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return "", abt2.Wrap(abt2.CodeFailed, err, "disconf-web %s: %s: its answer is not a disconf-web's: %s", a.URL, path, short(string(body)))
	}
	if out.Status != 1 {
		return "", abt2.Errorf(abt2.CodeFailed, "disconf-web %s: %s of %s: it says %s", a.URL, path, form.Get("key"), short(out.Message))
	}
	return out.Value, nil
}

// webApp is an app in a version and an environment, as disconf-web has it.
type webApp struct {
	name, version, env string
	form               url.Values // by which it is asked for
	ids                map[key]int64
}

// app looks an app up, with the ids of its values.
func (a *webAPI) app(ctx context.Context, name, version, env string) (webApp, error) {
	app, err := a.named(ctx, "app", name, "create it there, and let user "+a.User+" change it")
	if err != nil {
		return webApp{}, err
	}
	environment, err := a.named(ctx, "env", env, "name one of them with --disconf-env")
	if err != nil {
		return webApp{}, err
	}
	out := webApp{name, version, env, url.Values{"appId": {app}, "envId": {environment}, "version": {version}}, map[key]int64{}}
	answer, err := a.do(ctx, http.MethodGet, "/api/web/config/simple/list", out.form)
	if err != nil {
		return webApp{}, err
	}
	var configs []struct {
		ID   int64  `json:"configId"`
		Key  string `json:"key"`
		Type int    `json:"typeId"` // 0 is a file, 1 an item
	}
	if err := json.Unmarshal(answer.Page.Result, &configs); err != nil {
		return webApp{}, abt2.Wrap(abt2.CodeFailed, err, "disconf-web %s: what app %s has", a.URL, name)
	}
	for _, c := range configs {
		folder := "file/"
		if c.Type == 1 {
			folder = "item/"
		}
		out.ids[key(folder+c.Key)] = c.ID
	}
	return out, nil
}

// named returns the id of an app or env.
func (a *webAPI) named(ctx context.Context, kind, name, remedy string) (id string, err error) {
	answer, err := a.do(ctx, http.MethodGet, "/api/"+kind+"/list", nil)
	if err != nil {
		return "", err
	}
	var all []struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := json.Unmarshal(answer.Page.Result, &all); err != nil {
		return "", abt2.Wrap(abt2.CodeFailed, err, "disconf-web %s: its %ss", a.URL, kind)
	}
	var names []string
	for _, one := range all {
		if one.Name == name {
			return strconv.FormatInt(one.ID, 10), nil
		}
		names = append(names, one.Name)
	}
	return "", abt2.Errorf(abt2.CodeRefused, "disconf-web %s: has no %s %q for user %q, there is %s; %s", a.URL, kind, name, a.User, cmp.Or(strings.Join(names, ", "), "none"), remedy)
}

// create adds a value. disconf-web notifies nobody of it.
func (a *webAPI) create(ctx context.Context, there webApp, k key, value string) error {
	form := maps.Clone(there.form)
	folder, name, _ := strings.Cut(string(k), "/")
	path := "/api/web/config/item"
	if folder == "file" {
		path = "/api/web/config/filetext"
		form.Set("fileName", name)
		form.Set("fileContent", value)
	} else {
		form.Set("key", name)
		form.Set("value", value)
	}
	_, err := a.do(ctx, http.MethodPost, path, form)
	return err
}

// change sets a value and lets disconf-web notify who watches it.
func (a *webAPI) change(ctx context.Context, k key, id int64, value string) error {
	path, field := "/api/web/config/item/", "value"
	if strings.HasPrefix(string(k), "file/") {
		path, field = "/api/web/config/filetext/", "fileContent"
	}
	_, err := a.do(ctx, http.MethodPut, path+strconv.FormatInt(id, 10), url.Values{field: {value}})
	return err
}

// remove takes a value away.
func (a *webAPI) remove(ctx context.Context, id int64) error {
	_, err := a.do(ctx, http.MethodDelete, "/api/web/config/"+strconv.FormatInt(id, 10), nil)
	return err
}

// machines returns which clients disconf-web sees in ZooKeeper, sorted.
func (a *webAPI) machines(ctx context.Context, id int64) ([]string, error) {
	answer, err := a.do(ctx, http.MethodGet, fmt.Sprintf("/api/web/config/zk/%d", id), nil)
	if err != nil {
		return nil, err
	}
	var seen struct {
		Clients []struct {
			Machine string `json:"machine"`
		} `json:"datalist"` // null where nobody has made the node
	}
	if err := json.Unmarshal(answer.Result, &seen); err != nil {
		return nil, abt2.Wrap(abt2.CodeFailed, err, "disconf-web %s: who has value %d in effect", a.URL, id)
	}
	var out []string
	for _, c := range seen.Clients {
		out = append(out, c.Machine)
	}
	slices.Sort(out)
	return out, nil
}
