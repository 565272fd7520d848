package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker for a release: -ldflags "-X main.release=v1.0.0".
var release string

// version names this build: the release, else what Go knows of it.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    "Print the version of this program. That of the daemon stands in crush status.",
		Example: "  crush version -o json",
		Args:    wantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{
				"version": version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
			}
			return p.print(v, func() {
				p.printf("crush %s (%s, %s/%s)\n", v["version"], v["go"], v["os"], v["arch"])
			})
		},
	}
}
