package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"abt2.dev"
)

func (a *app) callCommand() *cobra.Command {
	var r abt2.CallRequest
	var env, cookie string
	c := &cobra.Command{
		Use:   "call MODULE METHOD [ARGUMENT...]",
		Short: "Call a method by Navi-rpc, to try it",
		Long: `Calls a method of a module by Navi-rpc over HTTP and prints what it returns, as
JSON. The server sends the call to a healthy instance of the version that the
environment names: the one online, unless --env or --cookie choose another.

METHOD is the name of a method, or INTERFACE.METHOD where the interface is not what
the module's navi: says. Each ARGUMENT is JSON: 7, true, '"text"', '{"id":7}'.

A method that fails is an error, and its message is shown.`,
		Example: `  abt2 call order get 7
  abt2 call order Orders.join '"ab"' 3 --types=java.lang.String,int
  abt2 call order get 7 --env=43
  abt2 call order get 7 --cookie=abt2=Zm9vYmFy`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return abt2.Errorf(abt2.CodeInvalid, "arguments %q: must be MODULE, METHOD and the method's arguments, like order get 7", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Product, err = a.productName(); err != nil {
				return err
			}
			r.Module, r.Method, r.Arguments = abt2.ModuleName(args[0]), args[1], args[2:]
			if i := strings.LastIndexByte(r.Method, '.'); i > 0 {
				r.Interface, r.Method = r.Method[:i], r.Method[i+1:]
			}
			if env != "" {
				if r.Environment, err = environmentID(cmd, env); err != nil {
					return err
				}
			}
			r.Token = abt2.Token(strings.TrimPrefix(cookie, "abt2="))
			if err := r.Validate(); err != nil {
				return err
			}
			svc, err := a.service()
			if err != nil {
				return err
			}
			answer, err := svc.Call(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.called(answer)
		},
	}
	a.productFlag(c)
	a.jsonFlag(c)
	f := c.Flags()
	f.StringVar(&env, "env", "", "call in environment `ID`")
	f.StringVar(&cookie, "cookie", "", "call in the environment that `TOKEN` selects, with or without abt2= before it")
	f.StringSliceVar(&r.Types, "types", nil, "the arguments' `TYPES` as Java names them (default long, double, boolean, java.lang.String, java.util.List, java.util.Map)")
	f.DurationVar(&r.Timeout, "timeout", abt2.MaxCall, "wait for the answer this `DURATION`")
	return c
}

// called prints an answer. One that tells of a failure is an error.
func (a *app) called(answer abt2.CallAnswer) error {
	switch {
	case a.json:
		a.out.json(answer)
	case answer.Status == 0:
		a.out.line("%s", answer.Result)
	}
	if answer.Status != 0 {
		return abt2.Errorf(abt2.CodeFailed, "%s of %s: status %d: %s", answer.Instance, answer.Version, answer.Status, answer.Message)
	}
	a.err.line("%s of %s, environment %d, %s", answer.Instance, answer.Version, answer.Environment, answer.Took.Round(100_000))
	return nil
}
