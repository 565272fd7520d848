package main

import "github.com/spf13/cobra"

func (p *program) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands in bash, zsh, fish or powershell",
		Example: `  source <(crush completion bash)
  crush completion zsh > "${fpath[1]}/_crush"
  crush completion fish > ~/.config/fish/completions/crush.fish`,
		Long:      "Print a script that completes verbs and flags in a shell: bash, zsh, fish or\npowershell.",
		Args:      wantArgs(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(p.out, true)
			case "zsh":
				return root.GenZshCompletion(p.out)
			case "fish":
				return root.GenFishCompletion(p.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(p.out)
			}
			return usagef("completion %s: want bash, zsh, fish or powershell", args[0])
		},
	}
}
