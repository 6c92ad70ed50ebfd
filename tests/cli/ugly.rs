//! Files that nobody should have written: each is told in a line, at once, and keeps nothing of the others.

use std::fmt::Write as _;
use std::path::Path;

use crate::binary::{check, run};

const GROUP: &str = "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {name: web}\nspec: {vpc: {id: vpc-0a1b2c3d}, egressPolicy: DenyAll}\n";

/// The only thing that is wrong with a text.
#[track_caller]
fn only(text: impl AsRef<[u8]>) -> String {
    let ran = check(text);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(2), ""), "{ran:?}");
    let findings = ran.findings();
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    finding.clone()
}

/// How many groups are in a text with which nothing is wrong.
#[track_caller]
fn fine(text: impl AsRef<[u8]>) -> u64 {
    let ran = check(text);
    assert_eq!(ran.code, Some(0), "{:?}", ran.findings());
    ran.json()["objects"]["SecurityGroup"].as_u64().unwrap_or_default()
}

#[test]
fn what_is_no_yaml_is_told_where() {
    let (open, tab, twice) =
        ("kind: [", GROUP.replace("spec:", "spec:\n\tvpc: a\nx:"), GROUP.replace("spec:", "kind: CidrSet\nspec:"));
    let told = [
        only(open),
        only(tab),
        only(twice),
        only(format!("{GROUP}---\n{{{{- if .Values.web }}}}\nkind: x\n")),
        only(GROUP.replace("web}", "{{ .Values.name }}}")),
        only("a: *nobody\n"),
        only("a: \"b\nc: d\n"),
        only("a: &a {b: *a}\n"),
        only("{\"a\": 1}\n{\"b\": 2}\n"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    1:7 error : unclosed bracket '['
    5:2 error : tabs disallowed within this context (block indentation): indent with spaces
    4:1 error : field kind is written twice: keep one
    6:3 error : this is a template and no YAML yet: check what it renders to, such as the output of helm template
    3:19 error : this is a template and no YAML yet: check what it renders to, such as the output of helm template
    1:4 error : the alias is of no anchor before it in this document: correct or remove it
    1:4 error : unclosed quote
    1:11 error : the alias stands in what it stands for, which has no end: write it out
    2:1 error : another document begins here: put a line with --- before it
    ");
}

#[test]
fn what_is_no_text_is_told() {
    let mut binary = GROUP.as_bytes().to_vec();
    binary.extend([0xff, 0xfe, 0x00]);
    let utf16: Vec<u8> = GROUP.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let told = [only(binary), only(utf16), only(format!("{GROUP}# \0\n")), only(GROUP.replace("web", "w\0b"))];
    insta::assert_snapshot!(told.join("\n"), @r"
    5:1 error : not text in UTF-8: save it as UTF-8, or remove it
    1:2 error : unexpected character: `\u{0}'
    5:3 error : unexpected character: `\u{0}'
    3:19 error : unexpected character: `\u{0}'
    ");
}

#[test]
fn what_is_too_much_is_told_and_soon() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, of) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        writeln!(bomb, "{name}: &{name} [*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of}]").unwrap();
    }
    let deep = (0..300).fold(String::new(), |deep, depth| deep + &" ".repeat(depth) + "a:\n");
    let large = format!("{GROUP}# {}\n", "x".repeat(8 * 1024 * 1024));
    let told = [only(bomb), only("[".repeat(100_000)), only("{a: ".repeat(100_000)), only(deep), only(large)];
    insta::assert_snapshot!(told.join("\n"), @r"
    5:20 error : its aliases stand for more than 50000 values: write them out
    1:256 error : deeper than any manifest is: correct the brackets or the indentation
    1:1021 error : deeper than any manifest is: correct the brackets or the indentation
    129:129 error : deeper than any manifest is: correct the brackets or the indentation
    1:1 error : larger than 8 MiB, which no manifest is: split the file
    ");
}

#[test]
fn what_editors_and_tools_leave_behind_does_no_harm() {
    assert_eq!(fine(format!("\u{feff}{GROUP}")), 1);
    assert_eq!(fine(format!("\u{feff}---\n{GROUP}").replace('\n', "\r\n")), 1);
    assert_eq!(fine(format!("# Source: chart/templates/web.yaml\n---\n\n---\n# nothing\n---\n{GROUP}...\n")), 1);
    assert_eq!(fine(format!("%YAML 1.2\n---\n{GROUP}...\n%YAML 1.2\n---\n{}", GROUP.replace("web", "db"))), 2);
    assert_eq!(fine(format!("--- # first\n{GROUP}---\t\n{}", GROUP.replace("web", "db"))), 2);
    assert_eq!(fine("--- ~\n---\nnull\n--- text\n--- [1]\n"), 0);
    assert_eq!(
        fine(format!("{GROUP}---\nkind: SecurityGroup\napiVersion: ec2.services.k8s.aws/v1alpha1\nspec: {{vpcID: x}}\n")),
        1
    );
}

#[test]
fn anchors_and_merge_keys_are_what_they_stand_for() {
    let merged = "x-common: &common {vpc: {id: vpc-0a1b2c3d}}\n";
    let text = GROUP.replace("spec: {vpc: {id: vpc-0a1b2c3d}, ", "spec: {vpc: &vpc {id: vpc-0a1b2c3d}, ");
    assert_eq!(fine(&text), 1);
    let told = only(format!("{merged}{}", GROUP.replace("vpc: {id: vpc-0a1b2c3d}", "<<: *common")));
    assert_eq!(told, "1:1 error x-common: unknown field: correct or remove it");
    let told = only(GROUP.replace("{name: web}", "{name: web, labels: {a: &a 5, b: *a}}").replace("b: *a", "b: c"));
    insta::assert_snapshot!(told, @"3:38 error metadata.labels.a: must be text, and 5 is not: put it in quotes");
}

#[test]
fn places_are_those_of_the_file_whatever_ends_its_lines() {
    let bad = GROUP.replace("vpc-0a1b2c3d", "vpc-1");
    for text in [bad.clone(), bad.replace('\n', "\r\n"), format!("\u{feff}{bad}")] {
        assert!(only(&text).starts_with("4:18 error spec.vpc.id: "), "{text:?}");
    }
    assert!(only(format!("# a\n---\n{GROUP}---\n{}", bad.replace("web", "db"))).starts_with("11:18 error spec.vpc.id: "));
    assert!(
        only("--- {apiVersion: sgwarden.dev/v1alpha1, kind: CidrSet, metadata: {name: a}, spec: {cidrs: [{cidr: 10.0.0.1/8}]}}")
            .starts_with("1:99 error spec.cidrs[0].cidr: ")
    );
}

#[test]
fn json_is_read_as_what_it_is() {
    let group = |name: &str, vpc: &str| {
        format!(
            "{{\n\t\"apiVersion\": \"sgwarden.dev/v1alpha1\",\n\t\"kind\": \"SecurityGroup\",\n\t\"metadata\": {{\"name\": \"{name}\", \"annotations\": {{\"a\\/b\": \"\\ud83d\\ude00\"}}}},\n\t\"spec\": {{\"vpc\": {{\"id\": \"{vpc}\"}}, \"egressPolicy\": \"DenyAll\"}}\n}}"
        )
    };
    assert_eq!(fine(group("web", "vpc-0a1b2c3d")), 1);
    assert!(only(group("web", "vpc-1")).starts_with("5:25 error spec.vpc.id: "));
    let list = |vpc: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n{},\n{}\n]}}",
            group("web", "vpc-0a1b2c3d"),
            group("db", vpc)
        )
    };
    assert_eq!(fine(list("vpc-0a1b2c3d")), 2);
    assert!(only(list("vpc-1")).starts_with("12:25 error spec.vpc.id: "));
    assert_eq!(only("{\"kind\": \"List\", \"items\": {}}"), "1:18 error items: must be a list of objects");
}

#[test]
fn a_file_that_cannot_be_read_hides_nothing_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), "kind: [").unwrap();
    std::fs::write(folder.path().join("b.yaml"), [0xff, 0xfe]).unwrap();
    std::fs::write(folder.path().join("c.yaml"), GROUP.replace("vpc-0a1b2c3d", "vpc-1")).unwrap();
    let ran = run(folder.path(), &["check", "-f", "."], b"");
    let lines: Vec<&str> = ran.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!((ran.code, lines[..3].to_vec()), (Some(2), vec!["./a.yaml:1:7", "./b.yaml:1:1", "./c.yaml:4:18"]), "{}", ran.stdout);
}

#[test]
fn everything_wrong_with_a_document_is_told_at_once() {
    let text = "apiVersion: sgwarden.dev/v1alpha1
kind: SecurityGroup
metadata: {name: Web, labels: {port: 443}, lables: {}}
spec:
  vpc: vpc-0a1b2c3d
  ingress:
    - {name: 5, protocol: tcp, ports: 443, form: []}
    - {name: b, protocol: tcp, ports: [443.5, [1]], from: [{cidr: 10.0.0.0/8, self: \"true\"}]}
  egressPolicy:
  tags: [a]
";
    let findings = check(text).findings();
    insta::assert_snapshot!(findings.join("\n"), @r"
    3:18 error metadata.name: 'Web' is not a Kubernetes name: lower-case letters, digits, '-' and '.', such as web-public
    3:38 error metadata.labels.port: must be text, and 443 is not: put it in quotes
    5:8 error spec.vpc: must be a map of fields, and this is text
    7:7 error spec.ingress[0].from: from is required
    7:14 error spec.ingress[0].name: must be text, and 5 is not: put it in quotes
    7:39 error spec.ingress[0].ports: must be a list, and this is a number
    7:44 error spec.ingress[0].form: unknown field: correct or remove it
    8:40 error spec.ingress[1].ports[0]: 443.5 is no whole number, or too large a one
    8:47 error spec.ingress[1].ports[1]: must be a whole number or text, and this is a list
    8:85 error spec.ingress[1].from[0].self: 'true' is text: write it without quotes
    10:3 error spec.tags: must be a map of fields, and this is a list
    ");
}

#[test]
fn the_working_directory_makes_no_difference_to_standard_input() {
    let ran = run(Path::new("/"), &["check", "-f", "-"], GROUP.replace("vpc-0a1b2c3d", "vpc-1").as_bytes());
    assert!(ran.stdout.starts_with("<stdin>:4:18  spec.vpc.id  "), "{ran:?}");
}
