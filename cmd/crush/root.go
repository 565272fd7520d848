package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

// program is one run of the command line.
type program struct {
	stdin  io.Reader
	stdout *os.File
	stderr *os.File
	lookup func(string) (string, bool) // environment

	out   *bufio.Writer // to stdout, or to a pager
	pager *pager        // nil until a verb asks for one and there is one

	flags   globalFlags
	origins map[string]string // setting -> where its value came from
	format  format
	wait    rpc.Wait // what writes wait for
}

// globalFlags are the flags that every verb has.
type globalFlags struct {
	data    string
	config  string
	socket  string
	addr    string
	fork    string
	output  string
	json    bool
	timeout time.Duration
	author  string
}

// defaultTimeout bounds requests that answer at once; requests that stream
// have no bound unless --timeout is given.
const defaultTimeout = time.Minute

func newProgram(stdin io.Reader, stdout, stderr *os.File, lookup func(string) (string, bool)) *program {
	return &program{
		stdin:   stdin,
		stdout:  stdout,
		stderr:  stderr,
		lookup:  lookup,
		out:     bufio.NewWriterSize(stdout, 64<<10),
		origins: map[string]string{},
	}
}

// run executes one command line and returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	p.format = earlyFormat(args, p.lookup)
	root := p.rootCommand()
	args, err := verbFirst(root, args)
	if err == nil {
		root.SetArgs(args)
		root.SetIn(p.stdin)
		root.SetOut(p.out)
		root.SetErr(p.stderr)
		err = root.ExecuteContext(ctx)
	}
	err = p.finish(err)
	return p.report(ctx, err)
}

// finish flushes what was printed. An error of the verb comes before one of
// the flush.
func (p *program) finish(err error) error {
	flushed := p.out.Flush()
	if p.pager != nil {
		flushed = p.pager.close(flushed)
	}
	if err == nil && flushed != nil {
		return &localError{verb: "write output", cause: flushed}
	}
	return err
}

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "crush",
		Short: "A versioned key-value store that works offline and keeps every revision",
		Long: `crush is a peer-to-peer, offline-first, versioned key-value store for
deployment configs and cluster state.

Every node is a daemon that accepts reads and writes alone and keeps every
revision of every key. "crush daemon" runs one; every other verb talks to it.`,
		Example: `  crush daemon                            # run a node in the foreground
  crush put app/port 8080                 # write a value
  crush get app/port                      # read it
  crush log app/port                      # all of its revisions, newest first
  crush rollback app/port --to head~1     # write the value before the last one again
  crush fork create staging               # a line of its own, at once and without copying
  crush -F staging put app/port 8081      # write there
  crush merge staging --into default      # and bring it back`,
		Args:              cobra.ArbitraryArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return p.prepare(cmd) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	p.addGlobalFlags(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return flagError(cmd, err)
	})
	root.SetHelpCommand(&cobra.Command{
		Use:    "help [VERB]",
		Hidden: true,
		RunE:   func(_ *cobra.Command, args []string) error { return helpFor(root, args) },
	})
	root.SetUsageTemplate(strings.NewReplacer(
		`{{if .Runnable}}`, `{{if and .Runnable (or (not .HasAvailableSubCommands) (ne .Use .Name))}}`,
		`(or .IsAvailableCommand (eq .Name "help"))`, `.IsAvailableCommand`,
		"[command]", "VERB", "Available Commands", "Verbs", "Global Flags", "Flags of every verb",
		"Additional help topics", "More help", "about a command", "about a verb",
	).Replace(root.UsageTemplate()))
	root.AddCommand(
		p.aliasCommand(), p.applyCommand(), p.benchCommand(), p.blameCommand(), p.completionCommand(), p.configCommand(), p.conflictsCommand(),
		p.daemonCommand(), p.delCommand(), p.diffCommand(), p.editCommand(), p.exportCommand(), p.forkCommand(), p.getCommand(),
		p.idCommand(), p.importCommand(), p.incrCommand(), p.infoCommand(), p.joinCommand(), p.logCommand(), p.lsCommand(), p.memberCommand(),
		p.mergeCommand(), p.peersCommand(), p.pickCommand(), p.policyCommand(), p.promoteCommand(), p.purgeCommand(), p.putCommand(), p.resolveCommand(),
		p.rollbackCommand(), p.setCommand(), p.showCommand(), p.snapshotCommand(), p.statusCommand(), p.tagCommand(), p.undoCommand(), p.verifyCommand(),
		p.versionCommand(), p.watchCommand(),
	)
	plainUsage(root)
	return root
}

// plainUsage leaves "[flags]" out of the line of usage: every verb has some.
func plainUsage(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, verb := range cmd.Commands() {
		plainUsage(verb)
	}
}

func (p *program) addGlobalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&p.flags.data, "data", "", "data directory `DIR` of the node (CRUSH_DATA)")
	f.StringVar(&p.flags.config, "config", "", "configuration `FILE` (CRUSH_CONFIG; default DIR/crush.conf)")
	f.StringVar(&p.flags.socket, "socket", "", "Unix socket `PATH` of the daemon (CRUSH_SOCKET; default DIR/crush.sock)")
	f.StringVar(&p.flags.addr, "addr", "", "`URL` of a remote daemon (CRUSH_ADDR; its token: CRUSH_TOKEN)")
	f.StringVarP(&p.flags.fork, "fork", "F", "default", "`NAME` of the fork to work on (CRUSH_FORK)")
	f.StringVarP(&p.flags.output, "output", "o", "text", "`FORMAT` of the output: text, json or jsonl (CRUSH_OUTPUT)")
	f.BoolVar(&p.flags.json, "json", false, "the same as -o json")
	f.DurationVar(&p.flags.timeout, "timeout", 0, "give up after this `TIME` (CRUSH_TIMEOUT; default 1m, none for verbs that stream)")
	f.StringVar(&p.flags.author, "author", "", "`NAME` that writes claim (CRUSH_AUTHOR; default the user's name)")
}

// addMessage adds -m and --wait, which every writing verb has.
func addMessage(cmd *cobra.Command, message *string) {
	cmd.Flags().StringVarP(message, "message", "m", "", "`MESSAGE` that is kept with the change")
	cmd.Flags().String("wait", "", "return when `N` other nodes, or one in each of the zones (zones), have it on disk (else exit 10)")
}

// readWait settles what a writing verb waits for, before it writes.
func (p *program) readWait(cmd *cobra.Command) (err error) {
	f := cmd.Flags().Lookup("wait")
	if f == nil || !f.Changed {
		return nil
	}
	if p.wait, err = rpc.ParseWait(f.Value.String()); err != nil {
		return usagef("--wait %s: want a number of other nodes, or zones", f.Value)
	}
	return nil
}

// prepare runs before every verb: it settles flags, environment and file.
func (p *program) prepare(cmd *cobra.Command) error {
	if err := refuseEmpty(cmd); err != nil {
		return err
	}
	if p.flags.timeout < 0 {
		return usagef("--timeout %s: want a duration as 30s, or 0 for none", p.flags.timeout)
	}
	if err := p.readWait(cmd); err != nil {
		return err
	}
	switch cmd.Name() {
	case "version", "completion", "help":
		// These work with a broken configuration too.
	case "config":
		// It resolves the settings of the daemon too, by itself.
		return nil
	default:
		if err := p.resolve(cmd); err != nil {
			return err
		}
	}
	return p.settleFormat(cmd)
}

// bounded returns the context of a request that answers at once, or when other
// nodes have a write.
func (p *program) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if !p.wait.IsZero() {
		return p.patient(ctx)
	}
	return p.withTimeout(ctx, p.limit())
}

// limit is how long a request may take that has an end.
func (p *program) limit() time.Duration {
	if p.flags.timeout == 0 {
		return defaultTimeout
	}
	return p.flags.timeout
}

// answerTime is what a node has to say what is missing, when it has waited.
const answerTime = 10 * time.Second

// patient returns the context of a request that waits for other nodes: the node
// gives up at the limit, and its answer says what is there and what is not.
func (p *program) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return p.withTimeout(rpc.WithLimit(ctx, p.limit()), p.limit()+answerTime)
}

// streaming returns the context of a request that takes as long as it takes.
func (p *program) streaming(ctx context.Context) (context.Context, context.CancelFunc) {
	if !p.wait.IsZero() {
		return context.WithCancel(rpc.WithLimit(ctx, p.limit()))
	}
	if p.flags.timeout == 0 {
		return context.WithCancel(ctx)
	}
	return p.withTimeout(ctx, p.flags.timeout)
}

func (p *program) withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &timeoutError{limit: limit})
}

func helpFor(root *cobra.Command, args []string) error {
	cmd, _, err := root.Find(args)
	if err != nil || (len(args) > 0 && cmd == root) {
		return unknownVerb(root, args[0])
	}
	cmd.InitDefaultHelpFlag()
	return cmd.Help()
}
