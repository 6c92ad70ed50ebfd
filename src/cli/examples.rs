//! What `--help` of each subcommand ends with: command lines to copy.

use clap::Command;

/// Subcommand and examples, a line each; behind `#` what one does.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "accept",
        &[
            "sgwarden accept shop/web d-7f3a                    # print what keeps the edit, for the manifest",
            "sgwarden accept shop/web d-7f3a --for 2h --apply   # keep it for two hours, in the cluster",
        ],
    ),
    (
        "approve",
        &[
            "sgwarden approve shop/web                   # show its plan, ask, approve it",
            "sgwarden approve -A -l team=shop            # every plan that waits, of groups with a label",
            "sgwarden approve --all -n shop --yes        # every plan of a namespace, without asking",
        ],
    ),
    (
        "audit",
        &["sgwarden audit --audit-file audit.jsonl --since 24h", "zcat audit-*.jsonl.gz | sgwarden audit --audit-file - shop/web"],
    ),
    (
        "check",
        &[
            "sgwarden check -f groups --complete         # in a pull request; exit code 2 if anything is wrong",
            "kustomize build . | sgwarden check -f -",
        ],
    ),
    (
        "completions",
        &[
            "source <(sgwarden completions bash)                                        # in ~/.bashrc",
            "sgwarden completions zsh > \"${fpath[1]}/_sgwarden\"",
            "sgwarden completions fish > ~/.config/fish/completions/sgwarden.fish",
        ],
    ),
    (
        "controller",
        &[
            "sgwarden controller --region eu-west-1 --context kind-dev   # beside a cluster, with your own credentials",
            "sgwarden controller --audit-file /audit/audit.jsonl         # in a pod, with AwsAccounts",
        ],
    ),
    ("crds", &["sgwarden crds --print | kubectl apply --server-side -f -"]),
    ("demo", &["sgwarden demo"]),
    (
        "drift",
        &[
            "sgwarden drift -A --since 24h",
            "sgwarden drift shop/web -o json",
            "sgwarden drift -A --open                    # exit code 2 if there is anything",
        ],
    ),
    (
        "explain",
        &[
            "sgwarden explain shop/db --from 10.0.3.7 --port 5432 -f groups    # by manifests alone",
            "sgwarden explain shop/db --from-group shop/web --port 5432        # both ends, in the cluster",
        ],
    ),
    ("graph", &["sgwarden graph -f groups --format mermaid > groups.md"]),
    (
        "plan",
        &[
            "sgwarden plan -f groups --context prod                             # told from drift by the cluster's status",
            "sgwarden plan -f groups --cluster-id prod -o markdown              # for a comment in a pull request",
        ],
    ),
    (
        "resume",
        &[
            "sgwarden resume shop/web                    # show what would be reverted then, ask, end the suspension",
            "sgwarden resume --all -A --yes",
        ],
    ),
    (
        "run",
        &["sgwarden run -f ./groups --state ./state --cluster-id laptop --region eu-west-1   # groups as the files declare them"],
    ),
    ("sim", &["sgwarden sim --vpc vpc-0a1b2c3d                    # prints what to export, for the AWS CLI and SDKs"]),
    (
        "suspend",
        &[
            "sgwarden suspend shop/web --for 2h --reason 'incident 4711'",
            "sgwarden suspend -A -l app=shop --for 30m --reason 'failover test' --yes",
        ],
    ),
    (
        "undo",
        &[
            "sgwarden undo c-0199 --audit-file audit.jsonl              # print what brings it back, for the manifest",
            "sgwarden undo c-0199 --audit-file audit.jsonl --apply      # bring it back, in the cluster",
        ],
    ),
];

/// A parser whose help ends with the examples.
pub(super) fn attach(command: Command) -> Command {
    command.mut_subcommands(|subcommand| {
        let Some((_, lines)) = EXAMPLES.iter().find(|(name, _)| *name == subcommand.get_name()) else { return subcommand };
        subcommand.after_help(format!("Examples:\n  {}", lines.join("\n  ")))
    })
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn every_subcommand_has_examples_and_each_can_be_parsed() {
        for subcommand in command().get_subcommands() {
            let name = subcommand.get_name();
            let (_, lines) = EXAMPLES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} has no example"));
            for line in *lines {
                let typed = typed(line);
                assert_eq!(typed[1], name, "{line}");
                if let Err(error) = command().try_get_matches_from(&typed) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn an_example_is_found_among_what_else_a_shell_does() {
        assert_eq!(typed("source <(sgwarden completions bash)   # x"), ["sgwarden", "completions", "bash"]);
        assert_eq!(typed("cat a | sgwarden audit --reason 'b c' > d"), ["sgwarden", "audit", "--reason", "b c"]);
    }

    /// The words of our command in a line of shell.
    fn typed(line: &str) -> Vec<String> {
        let line = line.split(" #").next().unwrap();
        let line = line.split(['|', '(']).find(|part| part.trim_start().starts_with("sgwarden ")).unwrap();
        let line = line.split([')', '>']).next().unwrap().trim();
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
