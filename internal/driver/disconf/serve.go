package disconf

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// find returns a value by a request's parameters; why says what is wrong with them.
func (c *Centre) find(r *http.Request, folder string) (value, why string) {
	q := r.URL.Query()
	v, why := c.app(r)
	if why != "" {
		return "", why
	}
	name := q.Get("key")
	if name == "" {
		return "", "key is empty"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := v[key(folder+"/"+name)]
	if !ok {
		return "", fmt.Sprintf("%s %s of app %s does not exist", folder, name, q.Get("app"))
	}
	return value, ""
}

// app returns the values of the app that a request names.
func (c *Centre) app(r *http.Request) (v values, why string) {
	q := r.URL.Query()
	for _, field := range []string{"app", "env", "version"} {
		if q.Get(field) == "" {
			return nil, field + " is empty"
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.served[q.Get("app")]
	switch {
	case !ok:
		return nil, fmt.Sprintf("app %s does not exist; products are apps", q.Get("app"))
	case q.Get("env") != c.Env:
		return nil, fmt.Sprintf("env %s does not exist; there is %s", q.Get("env"), c.Env)
	case q.Get("version") != c.Version:
		return nil, fmt.Sprintf("version %s does not exist; there is %s", q.Get("version"), c.Version)
	}
	return v, ""
}

// Handler answers what disconf's clients ask: five GETs, for anybody.
func (c *Centre) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/config/item", func(w http.ResponseWriter, r *http.Request) {
		value, why := c.find(r, "item")
		answer(w, value, why)
	})
	mux.HandleFunc("GET /api/config/file", func(w http.ResponseWriter, r *http.Request) {
		value, why := c.find(r, "file")
		if why != "" {
			http.Error(w, why, http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", "attachment; filename="+path.Base(r.URL.Query().Get("key")))
		h.Set("Content-Length", strconv.Itoa(len(value)))
		_, _ = w.Write([]byte(value))
	})
	mux.HandleFunc("GET /api/config/list", c.list)
	mux.HandleFunc("GET /api/zoo/hosts", func(w http.ResponseWriter, _ *http.Request) { answer(w, strings.Join(c.ZooKeeper, ","), "") })
	mux.HandleFunc("GET /api/zoo/prefix", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.Prefix, "") })
	return mux
}

// answer writes disconf's ValueVo: status 1 with a value, or 0 with a message,
// under HTTP's status 200 either way.
func answer(w http.ResponseWriter, value, why string) {
	out := struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		Value   string `json:"value"`
	}{1, why, value}
	if why != "" {
		out.Status = 0
	}
	write(w, http.StatusOK, out)
}

// list writes all values of an app, as disconf-web's JsonObjectList.
func (c *Centre) list(w http.ResponseWriter, r *http.Request) {
	type config struct {
		Type    int    `json:"type"` // 0 is a file, 1 an item
		Name    string `json:"name"`
		Value   string `json:"value"`
		Version string `json:"version"`
	}
	type page struct {
		TotalCount int      `json:"totalCount"`
		Result     []config `json:"result"`
	}
	v, why := c.app(r)
	if why != "" {
		write(w, http.StatusOK, struct {
			Success string            `json:"success"`
			Message map[string]string `json:"message"`
		}{"false", map[string]string{"global": why}})
		return
	}
	out := page{Result: []config{}}
	c.mu.Lock()
	for _, k := range v.keys() {
		folder, name, _ := strings.Cut(string(k), "/")
		one := config{Type: 1, Name: name, Value: v[k], Version: c.Version}
		if folder == "file" {
			one.Type = 0
		}
		out.Result = append(out.Result, one)
	}
	c.mu.Unlock()
	out.TotalCount = len(out.Result)
	write(w, http.StatusOK, struct {
		Success string `json:"success"`
		Page    page   `json:"page"`
	}{"true", out})
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
