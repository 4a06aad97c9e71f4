package cli_test

import (
	"strings"
	"testing"
	"time"

	"abt2.dev"
	"abt2.dev/internal/cli"
)

const day = 24 * time.Hour

// The states a product goes through, as a server would tell them.

func faultsStatus() abt2.Status {
	s := emptyStatus()
	s.Faults = true
	return s
}

func emptyStatus() abt2.Status {
	return abt2.Status{
		Product: "default", Online: &abt2.EnvironmentStatus{ID: 1, Product: "default", Role: abt2.RoleOnline},
		Next: "abt2 start create --op=NAME",
	}
}

func openStatus() abt2.Status {
	return abt2.Status{
		Product: "default",
		Session: &abt2.SessionStatus{
			ID: 12, State: abt2.SessionOpen, Operator: "lihua", Description: "sprint 44", Created: ago(3 * time.Hour), Targets: plan(),
		},
		Online:  &abt2.EnvironmentStatus{ID: 42, Product: "default", Role: abt2.RoleOnline, Modules: versions("web@6", "order@3", "report@1")},
		Preview: &abt2.EnvironmentStatus{ID: 43, Product: "default", Role: abt2.RolePreview, Modules: versions("web@7", "order@3", "stock@1"), Cookie: "abt2=dG9rZW4", Link: "http://127.0.0.1:8080/.abt2/enter?token=dG9rZW4&to=/"},
		Instances: []abt2.InstanceStatus{
			{ID: "order-3-1", Module: "order", Version: version("order@3"), Address: "127.0.0.1:20001", State: abt2.InstanceHealthy},
			{ID: "report-1-4", Module: "report", Version: version("report@1"), State: abt2.InstanceBackoff, Restarts: 12, Detail: "exit status 1\nagain in 30 s"},
			{ID: "web-6-2", Module: "web", Version: version("web@6"), Address: "127.0.0.1:20002", State: abt2.InstanceHealthy},
			{ID: "web-7-5", Module: "web", Version: version("web@7"), Address: "127.0.0.1:20003", State: abt2.InstanceStarting},
		},
		Names: []abt2.NameStatus{
			{Module: "order", Product: "default", Address: "127.0.0.1:19001", Version: version("order@3")},
			{Module: "stock", Product: "default", Address: "127.0.0.1:19002"},
		},
		Routers: []abt2.RouterStatus{
			{ID: "edge-1", Role: "edge", Connected: true, Applied: abt2.Mark{Epoch: "e", Revision: 118}},
			{ID: "order-3-1", Role: "process", Version: version("order@3"), Connected: false, Applied: abt2.Mark{Epoch: "e", Revision: 117}, Restamped: 4},
		},
		Edges:   []string{"http://127.0.0.1:8080"},
		Running: &abt2.Intent{Verb: abt2.VerbShip, Operator: "lihua", Started: ago(5 * time.Second)},
		Next:    "abt2 ship all --op=lihua",
	}
}

func sharedStatus() abt2.Status {
	s := openStatus()
	s.Session.Share, s.Skew = 12_50, abt2.Duration(10*time.Minute)
	s.Running = &abt2.Intent{Verb: abt2.VerbCommit, Operator: "lihua", Share: 20_00, Started: ago(time.Second)}
	return s
}

func parkedStatus() abt2.Status {
	s := committedStatus()
	s.Parked = []abt2.ParkedStatus{
		{SessionStatus: abt2.SessionStatus{ID: 11, State: abt2.SessionParked, Operator: "mei", Description: "sprint 44", Created: ago(9 * day), Changed: ago(2 * time.Hour)},
			Preview: &abt2.EnvironmentStatus{ID: 41, Product: "default", Role: abt2.RolePreview, Modules: versions("web@5"), Cookie: "abt2=cGFya2Vk", Link: "http://127.0.0.1:8080/.abt2/enter?token=cGFya2Vk&to=/"}},
		{SessionStatus: abt2.SessionStatus{ID: 9, State: abt2.SessionParked, Operator: "wang", Created: ago(30 * day), Changed: ago(20 * day)}},
	}
	return s
}

func committedStatus() abt2.Status {
	return abt2.Status{
		Product:   "default",
		Session:   &abt2.SessionStatus{ID: 12, State: abt2.SessionCommitted, Operator: "lihua", Created: ago(3 * day)},
		Online:    &abt2.EnvironmentStatus{ID: 43, Product: "default", Role: abt2.RoleOnline, Modules: versions("web@7")},
		Backup:    &abt2.EnvironmentStatus{ID: 42, Product: "default", Role: abt2.RoleBackup, Modules: versions("web@6"), Cookie: "abt2=YmFja3Vw", Link: "http://127.0.0.1:8080/.abt2/enter?token=YmFja3Vw&to=/"},
		Unsettled: true,
		Missing:   []abt2.Shortage{{Version: version("web@6"), Role: abt2.RoleBackup, Healthy: 1, Want: 2}},
		Next:      "abt2 clean --op=lihua, or abt2 rollback --op=lihua",
	}
}

func plan() []abt2.PlanLine {
	d := strings.Repeat("0123456789abcdef", 4)
	return []abt2.PlanLine{
		{Module: "report", From: version("report@1"), State: abt2.TargetShipped},
		{Module: "stock", To: version("stock@1"), Size: 7, Digest: d, State: abt2.TargetFailed, Detail: "not healthy within 1m0s"},
		{Module: "web", From: version("web@6"), To: version("web@7"), Size: 12_345_678, Digest: d, State: abt2.TargetPut},
	}
}

func session(state abt2.SessionState, age time.Duration) *abt2.Session {
	return &abt2.Session{ID: 12, Product: "default", Operator: "lihua", Description: "sprint 44", State: state, Created: ago(9 * day), Changed: ago(age)}
}

func findings() []cli.Finding {
	return []cli.Finding{
		{Check: "folder", Result: "ok", Detail: "/srv/abt2, for its owner alone"},
		{Check: "disk", Result: "warn", Detail: "700 MiB of 8000 MiB are free", Remedy: "free some space"},
		{Check: "port edge-listen", Result: "fail", Detail: "127.0.0.1:8080 is somebody else's", Remedy: "choose another with --edge-listen"},
	}
}

// Each command, as a person and as a program see it.
func TestCommands(t *testing.T) {
	switched := abt2.Outcome{
		From: 42, To: 43, Edges: 1, Routers: 37, Switched: 61 * time.Millisecond, Settled: 1234 * time.Millisecond,
		Cookie: "abt2=YmFja3Vw", Link: "http://127.0.0.1:8080/.abt2/enter?token=YmFja3Vw&to=/", Next: "abt2 clean --op=lihua, or abt2 rollback --op=lihua",
	}
	shared := abt2.Outcome{
		From: 42, To: 43, Share: 5_00, Edges: 1, Routers: 37, Switched: 61 * time.Millisecond,
		Cookie: "abt2=dG9rZW4", Link: "http://127.0.0.1:8080/.abt2/enter?token=dG9rZW4&to=/", Next: "abt2 commit --op=lihua to move everybody, or abt2 rollback --op=lihua to end the share",
	}
	lagging := switched
	lagging.Unconfirmed, lagging.Warnings = []string{"order-3-1", "stock-9-2"}, []string{"stock: the name still leads to stock@8"}
	for _, tc := range []struct {
		name string
		w    world
	}{
		{"start_free", world{args: "start --op=lihua", svc: &fake{start: abt2.StartAnswer{Free: true}}}},
		{"start_in_progress", world{args: "start", svc: &fake{start: abt2.StartAnswer{Session: session(abt2.SessionOpen, 3*time.Hour)}}}},
		{"start_in_progress_own", world{args: "start --op=lihua", svc: &fake{start: abt2.StartAnswer{Session: session(abt2.SessionOpen, 30*time.Second)}}}},
		{"start_committed", world{args: "start --op=you", svc: &fake{start: abt2.StartAnswer{Session: session(abt2.SessionCommitted, 3*day)}}}},
		{"start_committed_own", world{args: "start --op=lihua", svc: &fake{start: abt2.StartAnswer{Session: session(abt2.SessionCommitted, 5*time.Minute)}}}},
		{"start_json", world{args: "start --json", svc: &fake{start: abt2.StartAnswer{Session: session(abt2.SessionCommitted, 3*day)}}}},
		{"start_create", world{args: "start create --op=lihua --desp='sprint 44'", svc: &fake{session: *session(abt2.SessionOpen, 0)}}},
		{"start_create_desc", world{args: "start create --desc=x --force --takeover --product=shop", svc: &fake{session: *session(abt2.SessionOpen, 0)}}},
		{"start_create_dry_run", world{args: "start create --dry-run", svc: &fake{}}},
		{"start_create_json", world{args: "start create --json", svc: &fake{session: *session(abt2.SessionOpen, 0)}}},
		{"start_create_differences", world{args: "start create", svc: &fake{diffs: differences(), errs: map[string]error{
			"Create": abt2.Errorf(abt2.CodeDifferences, "2 differences: mend them with abt2 refresh --op=wang, or add --force"),
		}}}},

		{"park", world{args: "park --op=lihua", svc: &fake{outcome: abt2.Outcome{From: 42, To: 43, Cookie: "abt2=dG9rZW4", Link: "http://127.0.0.1:8080/.abt2/enter?token=dG9rZW4&to=/", Next: "abt2 unpark --op=lihua to go on with session 12, or abt2 start create --op=lihua to begin a release"}}}},
		{"park_empty", world{args: "park", svc: &fake{outcome: abt2.Outcome{From: 42}}}},
		{"park_again", world{args: "park", svc: &fake{outcome: abt2.Outcome{From: 42, Same: true}}}},
		{"park_dry_run", world{args: "park --dry-run", svc: &fake{steps: []string{"set session 12 aside; what it has shipped stays up under its cookie"}}}},
		{"park_json", world{args: "park --json", svc: &fake{outcome: abt2.Outcome{From: 42, To: 43}}}},
		{"unpark", world{args: "unpark --op=lihua --session=12", svc: &fake{outcome: abt2.Outcome{From: 44, To: 45, Warnings: []string{"web changed on both sides: users got web@9 while the session was parked; ship it again"}, Next: "abt2 ship web --op=lihua"}}}},
		{"unpark_empty", world{args: "unpark", svc: &fake{outcome: abt2.Outcome{From: 42}}}},
		{"unpark_again", world{args: "unpark", svc: &fake{outcome: abt2.Outcome{From: 42, To: 43, Same: true}}}},
		{"unpark_which", world{args: "unpark --session=twelve"}},
		{"config_drop", world{args: "config drop --op=lihua --name=web --name=order"}},
		{"config_drop_dry_run", world{args: "config drop --name=web --dry-run"}},
		{"config_remove", world{args: "config remove --name=report --takeover"}},
		{"config_remove_json", world{args: "config remove --name=report --json"}},

		{"ship_plan", world{args: "ship --op=lihua", svc: &fake{plan: plan()}}},
		{"ship_plan_ready", world{args: "ship", svc: &fake{plan: plan()[:1]}}},
		{"ship_plan_empty", world{args: "ship", svc: &fake{}}},
		{"ship_plan_json", world{args: "ship --json", svc: &fake{plan: plan()}}},
		{"ship_all", world{args: "ship all --op=lihua", svc: &fake{progress: shipProgress(), outcome: abt2.Outcome{
			To: 43, Cookie: "abt2=dG9rZW4", Link: "http://127.0.0.1:8080/.abt2/enter?token=dG9rZW4&to=/", Next: "abt2 commit --op=lihua",
		}}}},
		{"ship_failed", world{args: "ship web order --op=lihua --ack-timeout=3s --drain-timeout=1m", svc: &fake{outcome: abt2.Outcome{
			To: 43, Failed: []abt2.Failure{{Version: version("order@4"), Reason: "not healthy within 1m0s", Log: []string{"listening", "panic: no database"}}}, Next: "abt2 logs order@4",
		}}}},
		{"ship_same", world{args: "ship all", svc: &fake{outcome: abt2.Outcome{To: 43, Same: true, Next: "abt2 commit --op=wang"}}}},
		{"ship_dry_run", world{args: "ship all --dry-run", svc: &fake{steps: []string{"start web@7: 2 instances", "build environment 43"}}}},
		{"ship_json", world{args: "ship all --json", svc: &fake{progress: shipProgress(), outcome: abt2.Outcome{To: 43}}}},
		{"unship", world{args: "unship web", svc: &fake{outcome: abt2.Outcome{From: 43, Next: "abt2 ship all --op=wang"}}}},

		{"commit", world{args: "commit --op=lihua --settle-timeout=2m", svc: &fake{outcome: switched}}},
		{"commit_same", world{args: "commit", svc: &fake{outcome: abt2.Outcome{To: 43, Same: true, Next: "abt2 clean --op=wang"}}}},
		{"commit_unsettled", world{args: "commit", svc: &fake{outcome: lagging}}},
		{"commit_unsettled_json", world{args: "commit --json", svc: &fake{outcome: lagging}}},
		{"commit_unsettled_error", world{args: "commit", svc: &fake{outcome: switched, errs: map[string]error{
			"commit": abt2.Errorf(abt2.CodeCommitted, "switched, but 2 routers have not confirmed; abt2 status names them"),
		}}}},
		{"commit_unconfirmed", world{args: "commit", svc: &fake{outcome: abt2.Outcome{Unconfirmed: []string{"edge-1"}}, errs: map[string]error{
			"commit": abt2.Errorf(abt2.CodeUnconfirmed, "edge-1 has not confirmed within 10s; nothing has changed"),
		}}}},
		{"commit_refused", world{args: "commit", svc: &fake{outcome: abt2.Outcome{Next: "abt2 status"}, errs: map[string]error{
			"commit": abt2.Errorf(abt2.CodeRefused, "web is put but not shipped; ship it: abt2 ship web --op=wang; or take it back: abt2 config drop --op=wang --name=web"),
		}}}},
		{"commit_refused_by_hook", world{args: "commit", svc: &fake{errs: map[string]error{
			"commit": abt2.Errorf(abt2.CodeRefused, "hook approval refuses commit, and nothing has changed: it ended with exit status 1\n    nobody but lihua has looked at environment 43"),
		}}}},
		{"rollback", world{args: "rollback", svc: &fake{outcome: abt2.Outcome{From: 43, To: 42, Edges: 2, Switched: 900 * time.Microsecond, Next: "abt2 status"}}}},
		{"rollback_asks_yes", world{args: "rollback", stdin: "y\n", svc: &fake{confirm: "this goes back to nothing at all", outcome: switched}}},
		{"rollback_asks_no", world{args: "rollback", stdin: "n\n", svc: &fake{confirm: "this goes back to nothing at all", outcome: switched}}},
		{"rollback_yes", world{args: "rollback --yes", svc: &fake{confirm: "this goes back to nothing at all", outcome: switched}}},
		{"clean_committed", world{args: "clean --op=lihua", stdin: "yes\n", svc: &fake{status: committedStatus(), outcome: abt2.Outcome{From: 42, Next: "abt2 start create --op=wang"}}}},
		{"clean_open", world{args: "clean --takeover", stdin: "\n", svc: &fake{status: openStatus()}}},
		{"clean_of_another", world{args: "clean", svc: &fake{status: openStatus(), errs: map[string]error{
			"Run": abt2.Errorf(abt2.CodeOwner, "session 12 belongs to lihua; ask lihua, or add --takeover"),
		}}}},
		{"clean_nothing", world{args: "clean", svc: &fake{status: emptyStatus(), outcome: abt2.Outcome{Same: true, Next: "abt2 start create --op=wang"}}}},
		{"clean_yes", world{args: "clean --yes --takeover", svc: &fake{outcome: abt2.Outcome{From: 42, Next: "abt2 start create --op=wang"}}}},
		{"clean_dry_run", world{args: "clean --dry-run", svc: &fake{steps: []string{"stop web@6: 2 instances"}}}},

		{"refresh", world{args: "refresh", stdin: "y\n", svc: &fake{steps: []string{"start web@6: 1 instance", "end order@2: 1 instance"}, outcome: abt2.Outcome{Next: "abt2 validate"}}}},
		{"refresh_yes", world{args: "refresh --yes --prune", svc: &fake{outcome: abt2.Outcome{Next: "abt2 validate"}}}},
		{"refresh_nothing", world{args: "refresh", svc: &fake{}}},
		{"refresh_json", world{args: "refresh --json", stdin: "y\n", svc: &fake{steps: []string{"start web@6: 1 instance"}}}},
		{"refresh_dry_run", world{args: "refresh --dry-run", svc: &fake{steps: []string{"start web@6: 1 instance"}}}},
		{"scale", world{args: "scale web=4 order=2", svc: &fake{progress: shipProgress()[:1], outcome: abt2.Outcome{Next: "abt2 status"}}}},

		{"status_parked", world{args: "status", svc: &fake{status: parkedStatus()}}},
		{"status_parked_json", world{args: "status --json", svc: &fake{status: parkedStatus()}}},
		{"status_empty", world{args: "status", svc: &fake{status: emptyStatus()}}},
		{"status_empty_json", world{args: "status --json", svc: &fake{status: emptyStatus()}}},
		{"status_open", world{args: "status", svc: &fake{status: openStatus()}}},
		{"status_open_json", world{args: "status --json", svc: &fake{status: openStatus()}}},
		{"status_open_no_color", world{args: "status", env: map[string]string{"NO_COLOR": "1"}, svc: &fake{status: openStatus()}}},
		{"status_faults", world{args: "status", svc: &fake{status: faultsStatus()}}},
		{"status_committed", world{args: "status --product=shop", svc: &fake{status: committedStatus()}}},

		{"validate", world{args: "validate", svc: &fake{diffs: differences()}}},
		{"validate_json", world{args: "validate --json", svc: &fake{diffs: differences()}}},
		{"validate_same", world{args: "validate --all --platform", svc: &fake{}}},
		{"validate_same_json", world{args: "validate --json", svc: &fake{}}},
		{"validate_aliases", world{args: "validate --jpaas=true --bfe=true --disconf=true", svc: &fake{}}},
		{"validate_parts", world{args: "validate --platform --edge --config-centre --registry --routers", svc: &fake{}}},

		{"history", world{args: "history", svc: &fake{events: events()}}},
		{"history_json", world{args: "history --limit=0 --json", svc: &fake{events: events()[:1]}}},
		{"logs", world{args: "logs order@3 --tail=2", svc: &fake{logs: "order-3-1\tone\norder-3-1\ttwo\n"}}},
		{"logs_module", world{args: "logs order", svc: &fake{logs: "order-3-1\tone\n"}}},
		{"env_show", world{args: "env show 43", svc: &fake{envs: envs()}}},
		{"env_show_json", world{args: "env show 43 --json", svc: &fake{envs: envs()}}},
		{"env_show_unknown", world{args: "env show 7", svc: &fake{envs: envs()}}},
		{"env_diff", world{args: "env diff 42 43", svc: &fake{envs: envs()}}},
		{"env_diff_same", world{args: "env diff 42 42", svc: &fake{envs: envs()}}},
		{"env_diff_json", world{args: "env diff 42 43 --json", svc: &fake{envs: envs()}}},
		{"version", world{args: "version"}},
		{"version_json", world{args: "version --json"}},
		{"call", world{args: `call order Orders.get 7 --env=43`, svc: &fake{called: called(0, `{"id":7,"item":"book"}`, "")}}},
		{"call_cookie", world{args: `call order join "ab" 3 --cookie=abt2=Zm9v --types=java.lang.String,int --timeout=5s`, svc: &fake{called: called(0, `"ababab"`, "")}}},
		{"call_json", world{args: `call order get 7 --json`, svc: &fake{called: called(0, `null`, "")}}},
		{"call_failed", world{args: `call order get 7`, svc: &fake{called: called(2, "null", "no such order")}}},
		{"call_no_json", world{args: `call order get book`, svc: &fake{}}},
		{"call_twice", world{args: `call order get 7 --env=43 --cookie=Zm9v`, svc: &fake{}}},
		{"call_nothing", world{args: `call order`, svc: &fake{}}},
		{"name_get", world{args: "name get order", svc: &fake{lookup: lookup()}}},
		{"name_get_ip_port", world{args: "name get order@3 -i -p --product=shop", svc: &fake{lookup: lookup()}}},
		{"name_get_state", world{args: "name get order -s", svc: &fake{lookup: lookup()}}},
		{"name_get_all", world{args: "name get order -a", svc: &fake{lookup: lookup()}}},
		{"name_get_json", world{args: "name get order --json", svc: &fake{lookup: lookup()}}},
		{"name_get_not_online", world{args: "name get order", svc: &fake{lookup: abt2.Lookup{Product: "default", Name: "order"}}}},
		{"name_get_unknown", world{args: "name get oder", svc: &fake{errs: map[string]error{
			"Lookup": abt2.Errorf(abt2.CodeNotFound, `name "oder": is neither a module nor a group of default; known modules: [order web]; groups: abt2 name group list`),
		}}}},
		{"name_group_create", world{args: "name group create checkout order stock --op=lihua", svc: &fake{group: checkout()}}},
		{"name_group_add_dry_run", world{args: "name group add checkout stock --dry-run", svc: &fake{group: checkout()}}},
		{"name_group_remove_json", world{args: "name group remove checkout price --json", svc: &fake{group: checkout()}}},
		{"name_group_delete", world{args: "name group delete checkout", svc: &fake{group: checkout()}}},
		{"name_group_list", world{args: "name group list", svc: &fake{groups: []abt2.Group{checkout(), {Product: "default", Name: "empty"}}}}},
		{"name_group_list_json", world{args: "name group list --json", svc: &fake{}}},
		{"instance_list", world{args: "instance list", svc: &fake{status: stoppedStatus()}}},
		{"instance_list_of", world{args: "instance list order@3 web", svc: &fake{status: stoppedStatus()}}},
		{"instance_list_json", world{args: "instance list web --json", svc: &fake{status: stoppedStatus()}}},
		{"instance_list_wrong", world{args: "instance list order@x", svc: &fake{}}},
		{"instance_stop", world{args: "instance stop order-3-1 --op=lihua", svc: &fake{outcome: abt2.Outcome{Next: "abt2 start create --op=lihua"}}}},
		{"instance_stop_again", world{args: "instance stop order-3-2", svc: &fake{outcome: abt2.Outcome{Same: true}}}},
		{"instance_stop_last", world{args: "instance stop order-3-1", svc: &fake{err: abt2.Errorf(abt2.CodeRefused, "instance order-3-1: is the last healthy one of order@3, which is online")}}},
		{"instance_stop_force", world{args: "instance stop order-3-1 --force --json", svc: &fake{}}},
		{"instance_stop_dry_run", world{args: "instance stop order-3-1 --dry-run", svc: &fake{steps: []string{"take order-3-1 of order@3 out of the table, then end it"}}}},
		{"instance_stop_nothing", world{args: "instance stop", svc: &fake{}}},
		{"instance_start", world{args: "instance start order-3-2", svc: &fake{}}},
		{"instance_start_version", world{args: "instance start order@3", svc: &fake{status: stoppedStatus()}}},
		{"instance_start_none", world{args: "instance start web@6", svc: &fake{status: stoppedStatus()}}},
		{"instance_restart_version", world{args: "instance restart order@3 web-6-3 --takeover", svc: &fake{status: stoppedStatus()}}},
		{"validate_meant", world{args: "validate", svc: &fake{diffs: []abt2.Difference{asMeant()}}}},
		{"validate_meant_and_more", world{args: "validate --json", svc: &fake{diffs: append(differences()[:1:1], asMeant())}}},
		{"module_list", world{args: "module list", svc: &fake{modules: modules()}}},
		{"module_list_json", world{args: "module list --json", svc: &fake{modules: modules()[1:]}}},
		{"module_show", world{args: "module show order", svc: &fake{modules: modules()[:1]}}},
		{"module_show_json", world{args: "module show order --json", svc: &fake{modules: modules()[:1]}}},
		{"module_show_unknown", world{args: "module show oder", svc: &fake{err: abt2.Errorf(abt2.CodeNotFound, `module "oder": does not exist; abt2 module list names those that do`)}}},
		{"module_create", world{args: "module create price --instances=2 --op=lihua", svc: &fake{module: modules()[1]}}},
		{"module_create_dry_run", world{args: "module create price --dry-run", svc: &fake{module: modules()[1]}}},
		{"module_create_json", world{args: "module create price --json", svc: &fake{module: modules()[1]}}},
		{"module_create_many", world{args: "module create price --instances=1001", svc: &fake{}}},
		{"module_delete", world{args: "module delete price --op=lihua", svc: &fake{module: modules()[1]}}},
		{"module_delete_refused", world{args: "module delete order", svc: &fake{err: abt2.Errorf(abt2.CodeRefused, "module order: environment 42 (online) of default names order@3; take it out in a session")}}},
		{"module_upload_nothing", world{args: "module upload", svc: &fake{}}},
		{"module_upload_absent", world{args: "module upload /no/such/build", svc: &fake{}}},
		{"router_list", world{args: "router list", svc: &fake{status: openStatus()}}},
		{"product_set", world{args: "product set --skew=10m --op=lihua", svc: &fake{}}},
		{"product_set_off", world{args: "product set --skew=0 --op=lihua --json", svc: &fake{}}},
		{"product_set_dry_run", world{args: "product set --skew=90s --dry-run", svc: &fake{}}},
		{"product_set_nothing", world{args: "product set", svc: &fake{}}},
		{"product_set_refused", world{args: "product set --skew=1h", svc: &fake{err: abt2.Errorf(abt2.CodeRefused, "edge haproxy-1: %s; what edges can do is in docs/edges.md", abt2.AbilitySkew.Lack())}}},
		{"commit_share", world{args: "commit --share=5% --op=lihua", svc: &fake{outcome: shared}}},
		{"commit_share_json", world{args: "commit --share=0.5% --json", svc: &fake{outcome: shared}}},
		{"commit_share_same", world{args: "commit --share=5%", svc: &fake{outcome: abt2.Outcome{From: 42, To: 43, Share: 5_00, Same: true, Next: "abt2 commit --op=wang"}}}},
		{"commit_share_wrong", world{args: "commit --share=5", svc: &fake{}}},
		{"clean_shared", world{args: "clean --op=lihua", stdin: "yes\n", svc: &fake{status: sharedStatus(), outcome: abt2.Outcome{From: 43, Next: "abt2 start create --op=wang"}}}},
		{"status_shared", world{args: "status", svc: &fake{status: sharedStatus()}}},
		{"status_shared_json", world{args: "status --json", svc: &fake{status: sharedStatus()}}},
		{"router_forget", world{args: "router forget order-3-17 --op=lihua", svc: &fake{}}},
		{"drill", world{args: "drill --op=lihua", stdin: "y\n", drill: &fakeDrill{
			question: "product default: users are switched", progress: drillProgress(), report: drillReport(),
		}}},
		{"drill_disturbed", world{args: "drill --faults=all --yes", drill: &fakeDrill{
			progress: drillProgress(), report: disturbedReport(),
			err: abt2.Errorf(abt2.CodeFailed, "environment 43 is online, and environment 42 was when the drill began; to go back: abt2 rollback --op=wang"),
		}}},
		{"drill_json", world{args: "drill --yes --json", drill: &fakeDrill{report: drillReport()}}},
		{"drill_refused", world{args: "drill", drill: &fakeDrill{prepareErr: abt2.Errorf(abt2.CodeRefused, "default: the session has no preview yet")}}},
		{"down", world{args: "down --data=/srv/abt2", stdin: "y\n", down: []string{"server 1234", "web-6-2"}}},
		{"doctor", world{args: "doctor --data=/srv/abt2", findings: findings()}},
		{"doctor_fine", world{args: "doctor --data=/srv/abt2", findings: findings()[:2]}},
		{"doctor_json", world{args: "doctor --data=/srv/abt2 --json", findings: findings()[1:]}},
		{"restore_new", world{args: "restore - --data=/srv/abt2 --op=lihua", stdin: "a backup", restored: cli.Restored{
			Data: "/srv/abt2", Created: ago(2 * day), Abt2: "v0.1.0", Epoch: "e", Modules: 1, Artifacts: 12,
		}}},
		{"restore_force", world{args: "restore - --data=/srv/abt2 --force", stdin: "a backup", restored: cli.Restored{
			Data: "/srv/abt2", Created: ago(2 * day), Abt2: "v0.1.0", Epoch: "e", Modules: 2, Artifacts: 1, Aside: "/srv/abt2.before-20260304T070607Z", Kept: true,
		}}},
		{"restore_json", world{args: "restore - --data=/srv/abt2 --json", stdin: "a backup", restored: cli.Restored{Data: "/srv/abt2", Created: ago(2 * day), Epoch: "e"}}},
		{"restore_cut", world{args: "restore - --data=/srv/abt2", stdin: "a", err: abt2.Errorf(abt2.CodeInvalid, "backup from standard input: is cut short after byte 1, before its manifest; use another backup; nothing was restored")}},
		{"restore_no_file", world{args: "restore /no/such/file --data=/srv/abt2"}},
		{"backup_stdout", world{args: "backup -", svc: &fake{backup: "a backup\n"}}},
		{"backup_nowhere", world{args: "backup /no/such/folder/file", svc: &fake{backup: "a backup\n"}}},
		{"down_yes", world{args: "down --yes", env: map[string]string{"ABT2_DATA": "/srv/other"}}},
		{"down_json", world{args: "down --yes --json", down: []string{"web-6-2"}}},
		{"server", world{args: "server --data=/srv/abt2"}},
		{"server_dns", world{args: "server --data=/srv/abt2 --dns-listen=127.0.0.1:5353"}},
		{"install_systemd_dry_run", world{args: "install-systemd --data=/srv/abt2 --user=shop --edge-listen=0.0.0.0:80 --dry-run"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, mode := range []string{"terminal", "pipe"} {
				w := tc.w
				svc := fake{} // each run has its own calls
				if w.svc != nil {
					svc = *w.svc
				}
				w.svc, w.terminal = &svc, mode == "terminal"
				golden(t, tc.name+"."+mode, transcript(w, run(t, w)))
			}
		})
	}
}

func checkout() abt2.Group {
	return abt2.Group{Product: "default", Name: "checkout", Modules: []abt2.ModuleName{"order", "stock"}}
}

func stoppedStatus() abt2.Status {
	return abt2.Status{Product: "default", Instances: []abt2.InstanceStatus{
		{ID: "order-3-1", Module: "order", Version: version("order@3"), Address: "127.0.0.1:20001", State: abt2.InstanceHealthy},
		{ID: "order-3-2", Module: "order", Version: version("order@3"), State: abt2.InstanceStopped, Detail: "stopped by lihua, 2026-03-04T06:00:00Z"},
		{ID: "order-4-4", Module: "order", Version: version("order@4"), Address: "127.0.0.1:20004", State: abt2.InstanceBackoff, Restarts: 3, Detail: "exit status 1"},
		{ID: "web-6-3", Module: "web", Version: version("web@6"), Address: "127.0.0.1:20003", State: abt2.InstanceHealthy},
	}}
}

func asMeant() abt2.Difference {
	return abt2.Difference{Part: "platform", Object: "order-3-2", Should: "running, as one of order@3", Is: "stopped by lihua, 2026-03-04T06:00:00Z", Remedy: "none needed; again: abt2 instance start order-3-2", Meant: true}
}

func modules() []abt2.ModuleStatus {
	return []abt2.ModuleStatus{
		{
			Name: "order", Kind: abt2.KindService, Scale: 2, Released: version("order@3"), Owner: "default", Address: "127.0.0.1:18001",
			Versions: []abt2.VersionStatus{
				{ID: version("order@4"), Digest: "d4", Artifact: abt2.Artifact{Digest: strings.Repeat("a4", 32), Name: "order.tar.gz", Format: abt2.FormatTarGz, Size: 1}, Created: ago(time.Hour), Tags: []abt2.Role{abt2.RolePreview}, Healthy: 1, Want: 2},
				{ID: version("order@3"), Digest: "d3", External: abt2.External{"10.0.0.5:8080"}, Created: ago(day), Tags: []abt2.Role{abt2.RoleOnline, abt2.RoleBackup}, Healthy: 1, Want: 1},
			},
		},
		{Name: "price"},
	}
}

func called(status int, result, message string) abt2.CallAnswer {
	return abt2.CallAnswer{
		Environment: 43, Version: abt2.VersionID{Module: "order", Number: 4}, Instance: "order-4-1", Address: "127.0.0.1:20001",
		Status: status, Result: result, Message: message, Took: 1234 * time.Microsecond,
	}
}

func lookup() abt2.Lookup {
	five := 5
	at := func(id, address string, s abt2.InstanceState) abt2.InstanceStatus {
		return abt2.InstanceStatus{ID: abt2.InstanceID(id), Module: "order", Version: version("order@3"), Address: address, State: s}
	}
	return abt2.Lookup{
		Product: "default", Name: "order", Versions: []abt2.VersionID{version("order@3")}, Digest: "d1",
		Instances: []abt2.NamedInstance{
			{InstanceStatus: at("order-3-1", "127.0.0.1:20001", abt2.InstanceHealthy), Callable: true, Tags: []abt2.Role{abt2.RoleOnline, abt2.RolePreview}, Load: &five},
			{InstanceStatus: at("order-3-2", "[::1]:20002", abt2.InstanceHealthy), Callable: true, Tags: []abt2.Role{abt2.RoleOnline, abt2.RolePreview}},
			{InstanceStatus: at("order-3-3", "127.0.0.1:20003", abt2.InstanceUnhealthy), Tags: []abt2.Role{}},
		},
	}
}

func differences() []abt2.Difference {
	return []abt2.Difference{
		{Part: "platform", Object: "web@6", Should: "2 instances", Is: "1 instance", Remedy: "abt2 refresh --op=NAME"},
		{Part: "edge", Object: "edge-1", Should: "revision 118", Is: "revision 117", Remedy: "abt2 refresh --op=NAME"},
	}
}

func shipProgress() []abt2.Progress {
	return []abt2.Progress{
		{Module: "web", Step: "start", Text: "starting web@7"},
		{Module: "web", Step: "wait", Text: "web@7: 1 of 2 healthy", Done: 1, Total: 2},
		{Module: "web", Step: "healthy", Done: 2, Total: 2},
		{Module: "order", Step: "failed", Text: "not healthy within 1m0s"},
		{Step: "prepare", Text: "waiting for edges", Done: 0, Total: 1},
	}
}

func events() []abt2.Event {
	return []abt2.Event{
		{Seq: 9, Time: ago(time.Minute), Product: "default", Session: 12, Operator: "lihua", Identity: "operator.token", Verb: "commit", From: 42, To: 43, Text: "sprint 44"},
		{Seq: 8, Time: ago(time.Hour), Product: "default", Session: 12, Operator: "李华", Identity: "operator.token", Verb: "start create"},
	}
}

func envs() map[abt2.EnvironmentID]abt2.EnvironmentStatus {
	return map[abt2.EnvironmentID]abt2.EnvironmentStatus{
		42: {ID: 42, Product: "default", Role: abt2.RoleOnline, Modules: versions("web@6", "order@3", "report@1")},
		43: {ID: 43, Product: "default", Role: abt2.RolePreview, Modules: versions("web@7", "order@3", "stock@1"), Cookie: "abt2=dG9rZW4", Link: "http://127.0.0.1:8080/.abt2/enter?token=dG9rZW4&to=/"},
	}
}
