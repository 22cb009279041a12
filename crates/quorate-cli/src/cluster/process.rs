//! One server process: started, watched, killed.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a process that should end is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The process stops when this closes, so that it never outlives the one that started it.
    lifeline: Option<ChildStdin>,
    log_file: PathBuf,
}

impl Process {
    /// Starts `program` with arguments; what it says goes to the end of a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or the program cannot be started.
    pub fn start(program: &Path, arguments: &[String], log_file: &Path) -> io::Result<Self> {
        if let Some(folder) = log_file.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = OpenOptions::new().create(true).append(true).open(log_file)?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--stop-when-input-closes")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal reaches the starter alone, which stops this one in its order.
            .process_group(0)
            .spawn()?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline, log_file: log_file.to_owned() })
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// When the system cannot say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.kill_without_waiting()?;
        self.child.wait()
    }

    /// Sends SIGKILL and returns at once, so that several can die at the same moment.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn kill_without_waiting(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Sends SIGTERM: it stops in its own order.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn terminate(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        // Not yet waited for, so the number still belongs to it.
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        id.map_or(Ok(()), |id| Ok(kill_process(id, Signal::TERM)?))
    }

    /// Waits until it ends, up to a limit; `None` when it still runs.
    ///
    /// # Errors
    ///
    /// When the system cannot say.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            thread::sleep(POLL);
        }
    }

    /// Closes its standard input, as the death of the starter would.
    pub fn cut_lifeline(&mut self) {
        self.lifeline = None;
    }

    /// The last lines that it said.
    #[must_use]
    pub fn last_words(&self, lines: usize) -> String {
        let text = fs::read(&self.log_file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
