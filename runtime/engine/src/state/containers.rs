//! The containers' rows.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::isolation::Isolation;

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, never started.
    Created,
    /// Being started or running; its lock is held.
    Running,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Exited => "exited",
            State::Removing => "removing",
        }
    }

    fn parse(text: &str) -> State {
        match text {
            "created" => State::Created,
            "exited" => State::Exited,
            "removing" => State::Removing,
            // What this version does not know is taken for alive: its lock decides.
            _ => State::Running,
        }
    }
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub image_id: String,
    /// The image as the user named it.
    pub image_name: String,
    pub isolation: Isolation,
    pub state: State,
    pub auto_remove: bool,
    /// Nanoseconds since the epoch, as the others.
    pub created_ns: i64,
    pub started_ns: Option<i64>,
    pub finished_ns: Option<i64>,
    pub exit_code: Option<u8>,
    pub oom_killed: bool,
    pub error: Option<String>,
    pub run_dir: String,
    pub cgroup: Option<String>,
    /// Somebody stopped it.
    pub stopped: bool,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub exit_code: u8,
    pub oom_killed: bool,
    pub error: Option<String>,
    pub started_ns: Option<i64>,
    pub finished_ns: i64,
    /// Somebody wanted that.
    pub stopped: bool,
    /// Its process was never there: it stays as if it had not been started.
    pub never_ran: bool,
}

const COLUMNS: &str = "id, name, image_id, image_name, isolation, state, auto_remove, created_ns, started_ns, \
                       finished_ns, exit_code, oom_killed, error, run_dir, cgroup, stopped";

/// Inserts a new container. [`Error::NameInUse`] when the name is taken.
pub fn insert(connection: &Connection, container: &Container) -> Result<()> {
    let sql = "INSERT INTO containers (id, name, image_id, image_name, isolation, state, auto_remove, created_ns, \
               started_ns, run_dir, cgroup) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
               ON CONFLICT (name) DO NOTHING";
    let inserted = connection.prepare_cached(sql)?.execute(params![
        container.id,
        container.name,
        container.image_id,
        container.image_name,
        container.isolation.as_str(),
        container.state.as_str(),
        container.auto_remove,
        container.created_ns,
        container.started_ns,
        container.run_dir,
        container.cgroup,
    ])?;
    if inserted == 1 {
        return Ok(());
    }
    let id = connection
        .query_row("SELECT id FROM containers WHERE name = ?1", [&container.name], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    Err(Error::NameInUse { name: container.name.clone(), id })
}

/// The container of that full id.
pub fn get(connection: &Connection, id: &str) -> Result<Option<Container>> {
    let sql = format!("SELECT {COLUMNS} FROM containers WHERE id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], read).optional()?)
}

/// All containers, newest first.
pub fn list(connection: &Connection) -> Result<Vec<Container>> {
    let sql = format!("SELECT {COLUMNS} FROM containers ORDER BY created_ns DESC, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those that must have a live owner.
pub fn not_final(connection: &Connection) -> Result<Vec<Container>> {
    let sql = format!("SELECT {COLUMNS} FROM containers WHERE state IN ('running', 'removing')");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Id, state and image's id of every container.
pub fn image_users(connection: &Connection) -> rusqlite::Result<Vec<(String, State, String)>> {
    let mut statement =
        connection.prepare("SELECT id, state, image_id FROM containers ORDER BY created_ns DESC")?;
    let rows = statement.query_map([], |row| {
        let state: String = row.get(1)?;
        Ok((row.get(0)?, State::parse(&state), row.get(2)?))
    })?;
    rows.collect()
}

/// Finds by full id, then by name, then by a prefix of the id that only one container has.
pub fn find(connection: &Connection, reference: &str) -> Result<Container> {
    let unknown = || Error::NoSuchContainer(reference.to_owned());
    let sql =
        format!("SELECT {COLUMNS} FROM containers WHERE id = ?1 OR name = ?2 ORDER BY id = ?1 DESC LIMIT 1");
    let bare = reference.strip_prefix('/').unwrap_or(reference);
    let exact = connection.query_row(&sql, [reference, bare], read).optional()?;
    if let Some(container) = exact {
        return Ok(container);
    }
    if reference.is_empty() || !reference.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(unknown());
    }
    let sql = format!("SELECT {COLUMNS} FROM containers WHERE substr(id, 1, ?1) = ?2 LIMIT 2");
    let mut statement = connection.prepare(&sql)?;
    let prefix = reference.to_ascii_lowercase();
    let mut found: Vec<Container> =
        statement.query_map(params![prefix.len() as i64, prefix], read)?.collect::<rusqlite::Result<_>>()?;
    match (found.pop(), found.is_empty()) {
        (Some(container), true) => Ok(container),
        (Some(_), false) => {
            Err(Error::invalid(format!("Multiple IDs found with provided prefix: {reference}")))
        }
        (None, _) => Err(unknown()),
    }
}

/// Writes down how it ended.
pub fn exited(connection: &Connection, id: &str, end: &End) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE containers SET state = ?8, exit_code = ?2, oom_killed = ?3, error = ?4, \
             started_ns = coalesce(?5, started_ns), finished_ns = ?6, stopped = ?7 WHERE id = ?1",
        )?
        .execute(params![
            id,
            end.exit_code,
            end.oom_killed,
            end.error,
            end.started_ns,
            end.finished_ns,
            end.stopped,
            if end.never_ran { State::Created } else { State::Exited }.as_str(),
        ])?;
    Ok(())
}

/// Marks a new one as made and not started.
pub fn created(connection: &Connection, id: &str) -> Result<()> {
    connection.prepare_cached("UPDATE containers SET state = 'created' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Marks it as being started; whoever does holds its lock.
pub fn starting(connection: &Connection, id: &str) -> Result<()> {
    let sql = "UPDATE containers SET state = 'running', exit_code = NULL, oom_killed = 0, error = NULL, stopped = 0 \
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([id])?;
    Ok(())
}

/// Gives it another name. [`Error::NameInUse`] when that is taken.
pub fn rename(connection: &Connection, id: &str, name: &str) -> Result<()> {
    let sql = "UPDATE OR IGNORE containers SET name = ?2 WHERE id = ?1";
    if connection.prepare_cached(sql)?.execute([id, name])? == 1 {
        return Ok(());
    }
    let owner = connection
        .query_row("SELECT id FROM containers WHERE name = ?1", [name], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    Err(Error::NameInUse { name: name.to_owned(), id: owner })
}

/// Marks it as being removed: from here on it can only vanish.
pub fn removing(connection: &Connection, id: &str) -> Result<()> {
    connection.prepare_cached("UPDATE containers SET state = 'removing' WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Deletes the row, after everything that it names is gone; false when somebody else was faster.
pub fn delete(connection: &Connection, id: &str) -> Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM containers WHERE id = ?1")?.execute([id])? == 1)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Container> {
    let isolation: String = row.get(4)?;
    let state: String = row.get(5)?;
    Ok(Container {
        id: row.get(0)?,
        name: row.get(1)?,
        image_id: row.get(2)?,
        image_name: row.get(3)?,
        isolation: isolation.parse().unwrap_or(Isolation::Process),
        state: State::parse(&state),
        auto_remove: row.get(6)?,
        created_ns: row.get(7)?,
        started_ns: row.get(8)?,
        finished_ns: row.get(9)?,
        exit_code: row.get(10)?,
        oom_killed: row.get(11)?,
        error: row.get(12)?,
        run_dir: row.get(13)?,
        cgroup: row.get(14)?,
        stopped: row.get(15)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(id: &str, name: &str) -> Container {
        Container {
            id: id.to_owned(),
            name: name.to_owned(),
            image_id: "sha256:0".to_owned(),
            image_name: "alpine".to_owned(),
            isolation: Isolation::Vm,
            state: State::Running,
            auto_remove: false,
            created_ns: 1,
            started_ns: Some(1),
            finished_ns: None,
            exit_code: None,
            oom_killed: false,
            error: None,
            run_dir: "/run/none".to_owned(),
            cgroup: None,
            stopped: false,
        }
    }

    fn database() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let connection = crate::state::open(&dir.path().join("state.db")).unwrap();
        (dir, connection)
    }

    #[test]
    fn insert_and_read_back() {
        let (_dir, db) = database();
        let container = sample(&"a".repeat(64), "web");
        insert(&db, &container).unwrap();
        assert_eq!(get(&db, &container.id).unwrap(), Some(container.clone()));
        assert_eq!(not_final(&db).unwrap(), vec![container.clone()]);
        let end = End {
            exit_code: 42,
            oom_killed: true,
            error: Some("why".to_owned()),
            started_ns: Some(5),
            finished_ns: 7,
            stopped: true,
            never_ran: false,
        };
        exited(&db, &container.id, &end).unwrap();
        let read = get(&db, &container.id).unwrap().unwrap();
        assert_eq!((read.state, read.exit_code, read.oom_killed), (State::Exited, Some(42), true));
        assert!(not_final(&db).unwrap().is_empty());
        delete(&db, &container.id).unwrap();
        assert_eq!(get(&db, &container.id).unwrap(), None);
    }

    #[test]
    fn a_taken_name_names_its_owner() {
        let (_dir, db) = database();
        insert(&db, &sample(&"a".repeat(64), "web")).unwrap();
        let text = insert(&db, &sample(&"b".repeat(64), "web")).unwrap_err().to_string();
        assert_eq!(
            text,
            format!(
                "Conflict. The container name \"/web\" is already in use by container \"{}\". \
                 You have to remove (or rename) that container to be able to reuse that name.",
                "a".repeat(64)
            )
        );
    }

    #[test]
    fn found_by_id_name_and_prefix() {
        let (_dir, db) = database();
        let (one, two) = (format!("ab{}", "0".repeat(62)), format!("ac{}", "0".repeat(62)));
        insert(&db, &sample(&one, "first")).unwrap();
        insert(&db, &sample(&two, "ab")).unwrap();
        assert_eq!(find(&db, &one).unwrap().id, one);
        assert_eq!(find(&db, "/first").unwrap().id, one);
        assert_eq!(find(&db, "ab").unwrap().id, two, "a name goes before a prefix");
        assert_eq!(find(&db, "ac0").unwrap().id, two);
        assert_eq!(find(&db, "AC").unwrap().id, two);
        assert_eq!(find(&db, "a").unwrap_err().to_string(), "Multiple IDs found with provided prefix: a");
        assert_eq!(find(&db, "zz").unwrap_err().to_string(), "No such container: zz");
        assert_eq!(find(&db, "").unwrap_err().to_string(), "No such container: ");
        assert_eq!(find(&db, "%").unwrap_err().to_string(), "No such container: %");
    }
}
