package abt2

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// HookTime is when a hook has its say.
type HookTime string

// The times of a hook.
const (
	HookBefore HookTime = "before" // it must agree, or the verb is refused
	HookAfter  HookTime = "after"  // it is told how the verb ended
)

// Hook is a program or a web service of the operators' own that has its say
// before a verb, or is told after it.
type Hook struct {
	Name    string // for people
	Verb    Verb
	When    HookTime
	Product ProductName // empty: every product
	// Command is a program, by its absolute path, and its arguments. URL is called
	// by POST. A hook has one of them.
	Command []string
	URL     string
	Timeout time.Duration // of one attempt
}

const (
	// DefaultHookTimeout is how long a hook may take that says nothing else.
	DefaultHookTimeout = 30 * time.Second
	// LongestHookTimeout bounds what it may say: all the while no other verb
	// works on the product.
	LongestHookTimeout = time.Hour
)

var (
	hookVerbs = []Verb{VerbShip, VerbUnship, VerbCommit, VerbRollback, VerbClean, VerbRefresh, VerbScale, VerbPark, VerbUnpark}
	hookName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)
)

// Title is the hook's name, or else that of its program or of its host.
func (h Hook) Title() string {
	switch {
	case h.Name != "":
		return h.Name
	case len(h.Command) > 0:
		return path.Base(h.Command[0])
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Validate checks the hook as it is set. The first word of an error is the
// field. A URL is never repeated: it may hold a secret.
func (h Hook) Validate() error {
	if !slices.Contains(hookVerbs, h.Verb) {
		verbs := make([]string, len(hookVerbs))
		for i, v := range hookVerbs {
			verbs[i] = string(v)
		}
		return Errorf(CodeInvalid, "verb %q: must be one of %s", h.Verb, strings.Join(verbs, ", "))
	}
	if h.When != HookBefore && h.When != HookAfter {
		return Errorf(CodeInvalid, "when %q: must be before or after", h.When)
	}
	if h.Name != "" && !hookName.MatchString(h.Name) {
		return Errorf(CodeInvalid, "name %q: must be 1 to 40 of letters, digits, '.', '_' and '-', like approval", h.Name)
	}
	if h.Product != "" {
		if err := h.Product.Validate(); err != nil {
			return Errorf(CodeInvalid, "product: %v", err)
		}
	}
	if h.Timeout <= 0 || h.Timeout > LongestHookTimeout {
		return Errorf(CodeInvalid, "timeout %s: must be more than 0 and at most %s, like 30s", h.Timeout, LongestHookTimeout)
	}
	switch {
	case (len(h.Command) == 0) == (h.URL == ""):
		return Errorf(CodeInvalid, "command: a hook has either a command or a url; give one of them")
	case len(h.Command) > 0 && (!path.IsAbs(h.Command[0]) || strings.ContainsRune(strings.Join(h.Command, ""), 0)):
		return Errorf(CodeInvalid, "command %q: must begin with the absolute path of a program, like [\"/etc/abt2/approve.sh\"]", h.Command)
	case len(h.Command) > 0:
		return nil
	}
	if u, err := url.Parse(h.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.Fragment != "" {
		return Errorf(CodeInvalid, "url: must be like https://chat.example.com/abt2")
	}
	return nil
}

// HookFormat is the version of the JSON that hooks are given. Fields are only
// added to it; anything else makes another version.
const HookFormat = 1

// HookCall is what a hook is given: the verb that is about to be done, or how it ended.
type HookCall struct {
	Format   int                `json:"format"` // HookFormat
	When     HookTime           `json:"when"`
	Verb     Verb               `json:"verb"`
	Product  ProductName        `json:"product"`
	Operator string             `json:"operator"` // a name for people
	Identity string             `json:"identity"` // the credential that was shown
	Session  *HookSession       `json:"session"`  // null: none is there
	From     EnvironmentID      `json:"from"`
	To       EnvironmentID      `json:"to"`      // 0: not made yet
	Modules  []ModuleName       `json:"modules"` // ship and unship: those asked for; empty: all
	Scale    map[ModuleName]int `json:"scale,omitempty"`
	Share    Share              `json:"share,omitempty"` // of the visitors, whom a commit is for or a rollback; none: all
	Force    bool               `json:"force,omitempty"`
	Prune    bool               `json:"prune,omitempty"`
	Plan     []PlanLine         `json:"plan"`
	Outcome  *HookOutcome       `json:"outcome,omitempty"` // after the verb
	Edge     string             `json:"edge"`              // the address users reach
	// Cookie, a secret, selects the session's preview, after a commit its backup;
	// empty: nothing to select. Only commands are given it.
	Cookie string `json:"-"`
}

// HookSession is the session that a hook's verb works on.
type HookSession struct {
	ID          SessionID    `json:"id"`
	State       SessionState `json:"state"`
	Operator    string       `json:"operator"`
	Description string       `json:"description"`
}

// HookOutcome is how a verb ended.
type HookOutcome struct {
	OK          bool          `json:"ok"`
	Code        Code          `json:"code,omitempty"`  // why not
	Error       string        `json:"error,omitempty"` // for people
	Switched    time.Duration `json:"switched_ns,omitempty"`
	Unconfirmed []string      `json:"unconfirmed,omitempty"`
	Warnings    []string      `json:"warnings,omitempty"`
}

// Hooked records what came of the hooks of a verb.
func (s *State) Hooked(c HookCall, a Actor, text string) {
	if p := s.Products[c.Product]; p != nil {
		s.record(a, p, "hook", c.From, c.To, string(c.Verb)+": "+text)
	}
}
