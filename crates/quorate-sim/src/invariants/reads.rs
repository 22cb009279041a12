//! A linearizable read sees everything that was committed, to anyone's knowledge, when it came
//! (thesis §6.4).

use quorate_core::{Index, ReadId};

use super::{Broken, Facts, Name};

impl Facts {
    /// A batch of reads came to a node.
    pub fn read_came(&mut self, node: usize, id: ReadId) {
        let commit = self.commit();
        self.reads.insert((node, id), commit);
    }

    /// The node may answer them from the state at `index`.
    ///
    /// # Errors
    ///
    /// When that state is older than what was committed when they came.
    pub fn read_ready(&mut self, node: usize, id: ReadId, index: Index) -> Result<(), Broken> {
        let Some(known) = self.reads.remove(&(node, id)) else { return Ok(()) };
        if index >= known {
            return Ok(());
        }
        let what = format!(
            "{node} reads at {index}; {known} was committed when it was asked",
            node = Name(node)
        );
        Err(Broken::new("read index", what))
    }
}
