package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) instanceCommand() *cobra.Command {
	return family(&cobra.Command{
		Use:   "instance",
		Short: "Look at running copies, and start, stop and restart them",
		Long: `Looks after instances, the running copies of versions. What an operator stops stays
stopped, whatever refresh, ship, a switch or the machine's restart do, until an
operator starts it again or says by scale how many are to run.`,
		Example: `  abt2 instance list order
  abt2 instance stop order-3-17 --op=lihua
  abt2 instance start order-3-17 --op=lihua
  abt2 instance restart order@3 --op=lihua`,
	}, a.instanceListCommand(), a.instanceStartCommand(), a.instanceStopCommand(), a.instanceRestartCommand(), a.scaleCommand())
}

func (a *app) instanceListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [MODULE[@VERSION]]...",
		Short: "List instances with address and health",
		Long: `Lists the instances of all modules, or of those that are named: id, version,
address, state, how often it was started again after it ended by itself, and why it
is not healthy. Those that operators have stopped are there, with who and when.`,
		Example: `  abt2 instance list
  abt2 instance list order web@7 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var wanted []func(abt2.InstanceStatus) bool
			for _, arg := range args {
				match, err := instanceMatch(arg)
				if err != nil {
					return err
				}
				wanted = append(wanted, match)
			}
			product, err := a.productName()
			if err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			s, err := svc.Status(cmd.Context(), product)
			if err != nil {
				return err
			}
			instances := slices.DeleteFunc(s.Instances, func(i abt2.InstanceStatus) bool {
				return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(match func(abt2.InstanceStatus) bool) bool { return match(i) })
			})
			if a.json {
				a.out.json(list(instances))
				return nil
			}
			a.out.table("", []string{"instance", "version", "address", "state", "restarts", "detail"}, rowsOf(instances, instanceOnPage))
			return nil
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	return c
}

// instanceMatch selects the instances of MODULE or MODULE@VERSION.
func instanceMatch(arg string) (func(abt2.InstanceStatus) bool, error) {
	if strings.Contains(arg, "@") {
		v, err := abt2.ParseVersionID(arg)
		return func(i abt2.InstanceStatus) bool { return i.Version == v }, err
	}
	m := abt2.ModuleName(arg)
	return func(i abt2.InstanceStatus) bool { return i.Module == m }, m.Validate()
}

func (a *app) instanceStartCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "start INSTANCE|MODULE@VERSION...",
		Short: "Start what was stopped",
		Long: `Starts instances that operators have stopped, or all those of a version. An id is
never used again: another instance takes the place of each. Starting what runs
succeeds. It waits until they are healthy.`,
		Example: `  abt2 instance start order-3-17 --op=lihua
  abt2 instance start order@3 --op=lihua`,
	}
	return a.verbCommand(c, abt2.VerbInstanceStart, instancesOf, a.runOnInstances)
}

func (a *app) instanceStopCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "stop INSTANCE|MODULE@VERSION...",
		Short: "Stop instances until they are started again",
		Long: `Stops instances, or all of a version. Each leaves the table first, so that no call
is on its way to it, and is then told to end, with stop_grace to finish what it has.
It stays stopped, and status, validate and instance list say who did it; nobody is
kept from going on by it. Stopping what is stopped succeeds.

The last healthy instance of a version that an environment names is not stopped
without --force: requests to it would be answered 503. Jobs may always be stopped.
To take a module from users altogether: abt2 config remove.`,
		Example: `  abt2 instance stop order-3-17 --op=lihua
  abt2 instance stop order-3-17 --dry-run`,
	}
	fill := func(cmd *cobra.Command, args []string, r *abt2.VerbRequest) error {
		r.Force = force
		return instancesOf(cmd, args, r)
	}
	a.verbCommand(c, abt2.VerbInstanceStop, fill, a.runOnInstances)
	c.Flags().BoolVar(&force, "force", false, "stop the last healthy instance of a version, too")
	return c
}

func (a *app) instanceRestartCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restart INSTANCE|MODULE@VERSION...",
		Short: "Replace instances by fresh ones",
		Long: `Replaces instances, or all of a version, one after the other: another one is started
and healthy before the instance leaves the table and ends, so there is never less to
answer. Where the other does not become healthy, the instance goes on. A job ends
before the other starts, so that they never act together.`,
		Example: `  abt2 instance restart order-3-17 --op=lihua
  abt2 instance restart order@3 --op=lihua`,
	}
	return a.verbCommand(c, abt2.VerbInstanceRestart, instancesOf, a.runOnInstances)
}

// instancesOf takes the arguments as they are; runOnInstances resolves versions.
func instancesOf(cmd *cobra.Command, args []string, r *abt2.VerbRequest) error {
	if len(args) == 0 {
		return usage(cmd, "needs an INSTANCE, like order-3-17, or all of MODULE@VERSION; abt2 instance list shows them")
	}
	for _, arg := range args {
		if strings.Contains(arg, "@") {
			if _, err := abt2.ParseVersionID(arg); err != nil {
				return err
			}
		}
		r.Instances = append(r.Instances, abt2.InstanceID(arg))
	}
	return nil
}

// runOnInstances runs the verb on the instances that are named, one by one or by
// their version.
func (a *app) runOnInstances(ctx context.Context, svc abt2.Service, r abt2.VerbRequest) error {
	named := r.Instances
	r.Instances = nil
	var all []abt2.InstanceStatus
	for _, id := range named {
		v, err := abt2.ParseVersionID(string(id))
		if err != nil {
			r.Instances = append(r.Instances, id)
			continue
		}
		if all == nil {
			s, err := svc.Status(ctx, r.Product)
			if err != nil {
				return err
			}
			all = list(s.Instances)
		}
		before := len(r.Instances)
		for _, i := range all {
			if i.Version == v && (r.Verb == abt2.VerbInstanceStart) == (i.State == abt2.InstanceStopped) {
				r.Instances = append(r.Instances, i.ID)
			}
		}
		if len(r.Instances) == before {
			word := "runs"
			if r.Verb == abt2.VerbInstanceStart {
				word = "was stopped"
			}
			return abt2.Errorf(abt2.CodeNotFound, "version %s: no instance of it %s; look: abt2 instance list %s", v, word, v.Module)
		}
	}
	return a.runVerb(ctx, svc, r)
}
