//! Statements on views, indexes, comments and ALTER, as data.

use kestrel_proto::SqlState;

use super::*;

/// What a case wants to see of a statement, or `sqlstate @position: message`.
fn outcome(sql: &str) -> String {
    let mut statements = match parse(sql) {
        Ok(statements) => statements,
        Err(e) => {
            let position = e.position.map_or(String::new(), |p| format!(" @{p}"));
            return format!("{}{position}: {}", e.sqlstate.as_str(), e.message);
        }
    };
    match statements.remove(0).kind {
        StatementKind::CreateView(view) => {
            let columns: Vec<_> = view.column_names.iter().map(|c| c.name.as_str()).collect();
            let mut flags = String::new();
            for (is_set, flag) in [
                (view.or_replace, " replace"),
                (view.temporary, " temporary"),
                (view.recursive, " recursive"),
                (view.unsupported.is_some(), " unsupported"),
            ] {
                flags += if is_set { flag } else { "" };
            }
            format!("view {} {columns:?}{flags}: {}", view.name, view.text)
        }
        StatementKind::Ddl(DdlStatement::DropView(drop)) => {
            let names: Vec<_> = drop.views.iter().map(ToString::to_string).collect();
            format!("drop {names:?} if_exists={} cascade={}", drop.if_exists, drop.cascade)
        }
        StatementKind::Ddl(DdlStatement::CreateIndex(index)) => {
            let columns: Vec<_> = index.columns.iter().map(|c| c.name.as_str()).collect();
            let name = index.name.map_or("?".into(), |name| name.name);
            let unsupported: Vec<_> = index.unsupported.iter().map(|u| u.what).collect();
            format!(
                "index {name} on {} {columns:?} {} {unsupported:?}",
                index.table, index.is_unique
            )
        }
        StatementKind::Ddl(DdlStatement::Comment(comment)) => {
            format!("comment {:?} {:?}", kind(&comment.target), comment.text)
        }
        StatementKind::Ddl(DdlStatement::AlterTable(alter)) => {
            let actions: Vec<_> = alter.actions.iter().map(action).collect();
            format!("alter {} {}", alter.name, actions.join("; "))
        }
        StatementKind::Unsupported(what) => format!("unsupported {what}"),
        other => format!("{other:?}"),
    }
}

fn kind(target: &CommentTarget) -> String {
    match target {
        CommentTarget::Table(name) => format!("table {name}"),
        CommentTarget::View(name) => format!("view {name}"),
        CommentTarget::Index(name) => format!("index {name}"),
        CommentTarget::Sequence(name) => format!("sequence {name}"),
        CommentTarget::Column(name, column) => format!("column {} of {name}", column.name),
        CommentTarget::Schema(name) => format!("schema {}", name.name),
        CommentTarget::Database(name) => format!("database {}", name.name),
    }
}

fn storage(parameters: &[StorageParameter]) -> String {
    let shown = parameters.iter().map(|parameter| match &parameter.value {
        Some(value) => format!("{}={value}", parameter.name.name),
        None => parameter.name.name.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn action(action: &AlterAction) -> String {
    match action {
        AlterAction::Rename(name) => format!("rename to {}", name.name),
        AlterAction::RenameColumn { from, to } => format!("rename {} to {}", from.name, to.name),
        AlterAction::RenameConstraint { from, to } => {
            format!("rename constraint {} to {}", from.name, to.name)
        }
        AlterAction::SetSchema(schema) => format!("schema {}", schema.name),
        AlterAction::Partition(action) => format!("partition {action:?}"),
        AlterAction::SetDistributed(set) => {
            format!("distributed {} {:?}", set.reorganize, set.distributed)
        }
        AlterAction::Owner(owner) => format!("owner {}", owner.name),
        AlterAction::Add { if_not_exists, elements } => {
            let kinds = elements.elements.iter().map(|element| match element {
                TableElement::Column(column) => format!("column {}", column.name.name),
                TableElement::PrimaryKey(_) => "primary key".into(),
                TableElement::Unique(_) => "unique".into(),
                TableElement::Check(check) => format!("check {}", check.condition),
                TableElement::ForeignKey(_) => "foreign key".into(),
                TableElement::Like(_) => "like".into(),
            });
            format!("add {} {if_not_exists}", kinds.collect::<Vec<_>>().join(" + "))
        }
        AlterAction::DropColumn { column, if_exists, cascade } => {
            format!("drop {} {if_exists} {cascade}", column.name)
        }
        AlterAction::DropConstraint { name, if_exists } => {
            format!("drop constraint {} {if_exists}", name.name)
        }
        AlterAction::SetDefault { column, default } => {
            format!("default {} {default:?}", column.name)
        }
        AlterAction::SetNotNull { column, not_null } => {
            format!("not null {} {not_null}", column.name)
        }
        AlterAction::AddIdentity { column, clause } => {
            format!("add identity {} {:?}", column.name, clause.identity)
        }
        AlterAction::AlterIdentity { column, identity, options } => {
            let increment = options.increment;
            format!("identity {} {identity:?} {increment:?} {:?}", column.name, options.restart)
        }
        AlterAction::DropIdentity { column, if_exists } => {
            format!("drop identity {} {if_exists}", column.name)
        }
        AlterAction::SetType { column, data_type, has_using, .. } => {
            format!("type {} {data_type} {has_using}", column.name)
        }
        AlterAction::SetStorage(parameters) => format!("set {}", storage(parameters)),
        AlterAction::ResetStorage(parameters) => format!("reset {}", storage(parameters)),
        AlterAction::ClusterOn(index) => format!("cluster on {}", index.name),
    }
}

#[test]
fn storage_parameters_are_read() {
    let cases = [
        (
            "ALTER TABLE t SET (cluster_by = 'a, \"B\"', autovacuum.x = -1), CLUSTER ON i",
            "alter t set cluster_by=a, \"B\", autovacuum.x=1; cluster on i",
        ),
        (
            "ALTER TABLE t RESET (Cluster_By, fillfactor), SET WITHOUT CLUSTER",
            "alter t reset cluster_by, fillfactor; reset cluster_by",
        ),
        ("ALTER TABLE t SET (a = )", "42601 @24: syntax error at or near \")\""),
    ];
    for (sql, expected) in cases {
        assert_eq!(outcome(sql), expected, "{sql}");
    }
}

#[test]
fn statements_on_objects_are_read() {
    let cases = [
        ("CREATE VIEW v AS SELECT 1 AS a", "view v []: SELECT 1 AS a"),
        (
            "CREATE OR REPLACE VIEW s.v (a, \"B\") WITH (security_barrier) AS TABLE t;",
            "view s.v [\"a\", \"B\"] replace unsupported: TABLE t",
        ),
        (
            "CREATE TEMP RECURSIVE VIEW v (n) AS VALUES (1) WITH LOCAL CHECK OPTION",
            "view v [\"n\"] temporary recursive unsupported: VALUES (1)",
        ),
        (
            "CREATE VIEW v WITH (security_invoker = false, check_option = local) AS SELECT 1",
            "view v []: SELECT 1",
        ),
        ("CREATE VIEW v AS SELECT 1 FOO BAR", "42601 @31: syntax error at or near \"BAR\""),
        ("CREATE VIEW v SELECT 1", "42601 @15: syntax error at or near \"SELECT\""),
        ("CREATE VIEW v AS", "42601 @17: syntax error at end of input"),
        ("DROP VIEW IF EXISTS a, s.b CASCADE", "drop [\"a\", \"s.b\"] if_exists=true cascade=true"),
        ("DROP VIEW", "42601 @10: syntax error at end of input"),
        ("CREATE INDEX ON t (a)", "index ? on t [\"a\"] false []"),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY s.t USING btree \
             (a COLLATE \"C\" text_ops DESC NULLS LAST, b) WITH (fillfactor = 70) TABLESPACE x",
            "index i on s.t [\"a\", \"b\"] true []",
        ),
        (
            "CREATE INDEX i ON t (lower(a)) INCLUDE (b) WHERE a > 1",
            "index i on t [] false [\"indexes on expressions\", \"INCLUDE columns\", \"partial \
             indexes\"]",
        ),
        ("CREATE INDEX i ON t", "42601 @20: syntax error at end of input"),
        ("COMMENT ON TABLE s.t IS 'x'", "comment \"table s.t\" Some(\"x\")"),
        ("COMMENT ON COLUMN s.t.c IS NULL", "comment \"column c of s.t\" None"),
        ("COMMENT ON COLUMN c IS 'x'", "42601 @19: column name must be qualified"),
        ("COMMENT ON FUNCTION f() IS 'x'", "unsupported COMMENT ON this kind of object"),
        ("COMMENT ON TABLE t IS 1", "42601 @23: syntax error at or near \"1\""),
        (
            "ALTER TABLE IF EXISTS ONLY s.t ADD COLUMN IF NOT EXISTS a numeric(8,2) NOT NULL \
             DEFAULT 1 CHECK (a > 0), DROP b CASCADE, DROP COLUMN IF EXISTS c",
            "alter s.t add column a + check a > 0 true; drop b false true; drop c true false",
        ),
        (
            "ALTER TABLE t ADD CONSTRAINT p PRIMARY KEY (a), ADD UNIQUE (a, b), ADD CHECK (a < b), \
             DROP CONSTRAINT IF EXISTS x RESTRICT",
            "alter t add primary key false; add unique false; add check a < b false; drop \
             constraint x true",
        ),
        (
            "ALTER TABLE t ALTER a SET DEFAULT 1 + 2, ALTER COLUMN b DROP DEFAULT, ALTER c SET NOT \
             NULL, ALTER d DROP NOT NULL, ALTER e TYPE text USING e::text, OWNER TO CURRENT_USER",
            "alter t default a Some(\"1 + 2\"); default b None; not null c true; not null d false; \
             type e TEXT true; owner current_user",
        ),
        ("ALTER TABLE t RENAME TO u", "alter t rename to u"),
        ("ALTER TABLE t RENAME a TO b", "alter t rename a to b"),
        ("ALTER VIEW v RENAME COLUMN a TO b", "alter v rename a to b"),
        ("ALTER TABLE t SET SCHEMA s", "alter t schema s"),
        ("ALTER TABLE t ADD a int, RENAME TO u", "42601 @26: syntax error at or near \"RENAME\""),
        ("ALTER TABLE t ENABLE TRIGGER x", "unsupported ALTER TABLE"),
        ("ALTER TABLE t FOO", "42601 @15: syntax error at or near \"FOO\""),
        ("ALTER TABLE t", "42601 @14: syntax error at end of input"),
    ];
    check(&cases);
}

#[test]
fn constraints_and_identity_columns_are_altered() {
    check(&[
        ("ALTER TABLE t RENAME CONSTRAINT a TO b", "alter t rename constraint a to b"),
        (
            "ALTER TABLE t ALTER a ADD GENERATED BY DEFAULT AS IDENTITY (START 5), \
             ALTER b SET GENERATED ALWAYS SET INCREMENT BY -2 RESTART WITH 7, \
             ALTER c RESTART, ALTER d DROP IDENTITY IF EXISTS",
            "alter t add identity a ByDefault; identity b Some(Always) Some(-2) Some(Some(7)); \
             identity c None None Some(None); drop identity d true",
        ),
        ("ALTER TABLE t ALTER a SET STATISTICS 7", "unsupported ALTER TABLE"),
    ]);
}

#[test]
fn distributions_are_altered() {
    check(&[
        (
            "ALTER TABLE ONLY s.t SET DISTRIBUTED RANDOMLY",
            "alter s.t distributed false Some(Randomly)",
        ),
        ("ALTER TABLE t SET DISTRIBUTED REPLICATED", "alter t distributed false Some(Replicated)"),
        (
            "ALTER TABLE t SET WITH (REORGANIZE = TRUE) DISTRIBUTED RANDOMLY",
            "alter t distributed true Some(Randomly)",
        ),
        ("ALTER TABLE t SET WITH (reorganize)", "alter t distributed true None"),
        ("ALTER TABLE t SET WITH (reorganize = 'false')", "alter t distributed false None"),
        (
            "ALTER TABLE t SET WITH (fillfactor = 70)",
            "22023 @25: unrecognized parameter \"fillfactor\"",
        ),
        ("ALTER TABLE t SET WITH (reorganize = 7)", "42601 @38: syntax error at or near \"7\""),
        ("ALTER TABLE t SET DISTRIBUTED", "42601 @30: syntax error at end of input"),
        (
            "ALTER TABLE t ADD a int, SET DISTRIBUTED RANDOMLY",
            "42601 @26: syntax error at or near \"SET\"",
        ),
        ("ALTER TABLE t SET (fillfactor = 70)", "alter t set fillfactor=70"),
    ]);
}

fn check(cases: &[(&str, &str)]) {
    let different = cases.iter().filter(|(sql, expected)| outcome(sql) != *expected);
    let different: Vec<_> = different
        .map(|(sql, expected)| format!("{sql}\n  expected {expected}\n  got      {}", outcome(sql)))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn a_check_constraint_knows_its_columns() {
    let parsed = parse("CREATE TABLE t (a int CHECK (a > 0 AND (t.b IS NULL OR A < 9)), b int)");
    let statement = parsed.unwrap().remove(0);
    let StatementKind::Ddl(DdlStatement::CreateTable(table)) = statement.kind else {
        panic!("no table");
    };
    let TableElement::Check(check) = &table.elements[1] else { panic!("no check") };
    let names: Vec<_> = check.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(check.condition, "a > 0 AND (t.b IS NULL OR A < 9)");
    let error = parse("CREATE TABLE t (a int CHECK (a > (SELECT 1)))").unwrap_err();
    assert_eq!(error.sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
}
