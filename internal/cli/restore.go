package cli

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"abt2.dev"
)

// RestoreConfig is what abt2 restore is told. The folder is absolute.
type RestoreConfig struct {
	From     io.Reader
	Name     string // of From, for messages
	Data     string
	Force    bool
	Operator string
}

// Restored tells what a restore has done.
type Restored struct {
	Data      string    `json:"data"`
	Created   time.Time `json:"created"` // of the backup
	Abt2      string    `json:"abt2"`    // that wrote it
	Epoch     string    `json:"epoch"`   // the new one
	Modules   int       `json:"modules"`
	Artifacts int       `json:"artifacts"`
	Aside     string    `json:"aside,omitempty"` // where what was there before is now
	Kept      bool      `json:"kept"`            // credentials and what runs are those from before
}

func (a *app) restoreCommand() *cobra.Command {
	var data string
	var force bool
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data folder of a backup",
		Long: `Makes a data folder of what abt2 backup has saved; - is standard input. The server
of the folder must not be running. The whole file is checked before anything is
put in place: until then a failure leaves the folder as it was.

A folder that holds something needs --force. If the backup is its own, the state is
exchanged, the old one is moved aside to DIR.before-TIME, and credentials, edge and
instances stay: what runs goes on, and the next server finds it again. If it is
another installation's, everything is moved aside; it is refused while anything
of it runs. In a new folder the server makes new credentials.

Routers discard what they know and take the restored table when the server is
back. Users stay where they are until the restored release stands.`,
		Example: `  abt2 restore /var/backups/abt2.backup --data=/srv/abt2
  abt2 restore abt2.backup --data=/srv/abt2 --force
  ssh store 'cat abt2.backup' | abt2 restore - --data=/srv/abt2`,
		Args: exactly(1, "the FILE to read, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := a.folderOf(data)
			if err != nil {
				return err
			}
			op, err := a.operator(cmd)
			if err != nil {
				return err
			}
			r := RestoreConfig{From: a.env.Stdin, Name: "from standard input", Data: dir, Force: force, Operator: op}
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return abt2.Wrap(abt2.CodeInvalid, err, "backup %q: cannot be read; name a file that abt2 backup has written", args[0])
				}
				defer f.Close()
				r.From, r.Name = f, args[0]
			}
			done, err := a.env.RunRestore(cmd.Context(), r)
			if err != nil {
				return err
			}
			a.restored(done)
			return nil
		},
	}
	a.dataFlag(c, &data)
	a.opFlag(c)
	a.jsonFlag(c)
	c.Flags().BoolVar(&force, "force", false, "restore to a folder that holds something, which is moved aside")
	return c
}

func (a *app) restored(r Restored) {
	if a.json {
		a.out.json(r)
		return
	}
	a.out.line("restored %s: the backup of %s by abt2 %s, %s, %s", r.Data, a.out.moment(r.Created).shown(), r.Abt2, count(r.Modules, "module"), count(r.Artifacts, "build"))
	if r.Aside != "" {
		a.out.line("what was there before: %s", r.Aside)
	}
	if r.Kept {
		a.out.line("credentials stay valid, and what runs goes on: the next server finds it again")
	} else {
		a.out.line("the next server makes new credentials: %s/%s", r.Data, tokenFile)
	}
	a.out.line("next: abt2 server --data=%s, then abt2 validate", r.Data)
}

// dataFlag is for commands about a data folder rather than a server.
func (a *app) dataFlag(c *cobra.Command, data *string) {
	c.Flags().StringVar(data, "data", "", "the data folder, `DIR` (default ABT2_DATA, else "+defaultData+")")
}

// folderOf is the data folder that the flag names, or the default one.
func (a *app) folderOf(data string) (string, error) {
	if data != "" {
		return absolute(data)
	}
	return a.dataFolder()
}
