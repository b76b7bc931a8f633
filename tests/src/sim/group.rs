//! The model of a group: members, generations, rebalances. Revocation comes at any moment, and members may be expelled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use millstream_core::id::TaskId;
use millstream_core::port::{GroupMetadata, MembershipEvent};

use super::random::Random;
use super::trace::Trace;

/// How long a rebalance waits for members that have not answered.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(2);
/// After which time a dead member is expelled.
const SESSION_TIMEOUT: Duration = Duration::from_secs(3);

/// The member was expelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMember;

/// How tasks find their members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// There is no group: each thread of the one process has its share for good.
    Solo,
    /// All tasks are revoked at each rebalance (Kafka's `range` assignor).
    Eager,
    /// Only tasks that move are revoked (KIP-429, KIP-1071).
    Cooperative,
    /// Nobody is asked: tasks are elsewhere in the next generation, which a member is in when it hears of it.
    Abrupt,
}

#[derive(Debug, Default)]
struct Member {
    instance: String,
    events: VecDeque<MembershipEvent>,
    /// For each assignment among the events its generation.
    generations: VecDeque<i32>,
    tasks: BTreeSet<TaskId>,
    /// What it was told to give up and has not acknowledged.
    revoking: VecDeque<BTreeSet<TaskId>>,
    generation: i32,
    /// The generation that the client knows of.
    known_generation: i32,
    dead_since: Option<Duration>,
}

impl Member {
    fn assign(&mut self, tasks: BTreeSet<TaskId>) {
        self.tasks = tasks.clone();
        self.generations.push_back(self.generation);
        self.events.push_back(MembershipEvent::TasksAssigned(tasks));
    }
}

#[derive(Debug)]
struct Rebalance {
    deadline: Duration,
    target: BTreeMap<String, BTreeSet<TaskId>>,
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Group {
    style: Style,
    /// Whether a member that comes back under its instance's name takes its former self's place (KIP-345).
    is_static: bool,
    tasks: BTreeSet<TaskId>,
    members: BTreeMap<String, Member>,
    generation: i32,
    joined: u64,
    rebalance: Option<Rebalance>,
    now: Duration,
    trace: Trace,
}

impl Group {
    /// A group without members.
    #[must_use]
    pub fn new(style: Style, is_static: bool, tasks: BTreeSet<TaskId>, trace: Trace) -> Self {
        Self {
            style,
            is_static,
            tasks,
            members: BTreeMap::new(),
            generation: 0,
            joined: 0,
            rebalance: None,
            now: Duration::ZERO,
            trace,
        }
    }

    /// How tasks find their members.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// All tasks.
    #[must_use]
    pub fn tasks(&self) -> &BTreeSet<TaskId> {
        &self.tasks
    }

    /// Whether nothing is going to change by itself.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.rebalance.is_none() && self.members.values().all(|one| one.dead_since.is_none() && one.events.is_empty())
    }

    /// Whether offsets of this member are accepted.
    #[must_use]
    pub fn is_current(&self, metadata: &GroupMetadata) -> bool {
        if self.style == Style::Solo {
            return metadata.generation == -1;
        }
        self.members.get(&metadata.member_id).is_some_and(|member| member.generation == metadata.generation)
    }

    /// A member joins, or comes back; returns its id.
    pub fn join(&mut self, instance: &str, random: &mut Random) -> String {
        self.joined += 1;
        let id = format!("{instance}#{}", self.joined);
        let former = self.members.iter().find(|(_, one)| one.instance == instance).map(|(id, _)| id.clone());
        let former = former.filter(|_| self.is_static).and_then(|former| Some((self.members.remove(&former)?, former)));
        match former {
            Some((Member { tasks, generation, .. }, former)) => {
                self.trace.note(format_args!("group: {id} takes the place of {former} with {tasks:?}"));
                let instance = instance.into();
                let known_generation = generation;
                let mut member = Member { instance, generation, known_generation, ..Member::default() };
                match &mut self.rebalance {
                    Some(rebalance) => {
                        // It runs nothing now, so there is nothing to revoke; what it was to keep it still gets.
                        let target = rebalance.target.remove(&former).unwrap_or_default();
                        rebalance.target.insert(id.clone(), target);
                    }
                    None => {
                        member.assign(tasks);
                    }
                }
                self.members.insert(id.clone(), member);
                self.complete_rebalance();
            }
            None => {
                self.trace.note(format_args!("group: {id} joins"));
                let member =
                    Member { instance: instance.into(), generation: -1, known_generation: -1, ..Member::default() };
                self.members.insert(id.clone(), member);
                self.start_rebalance(random);
            }
        }
        id
    }

    /// A member says that it leaves.
    pub fn leave(&mut self, id: &str, random: &mut Random) {
        self.expel(id, random);
    }

    /// A member is gone for the group, whether it knows or not.
    pub fn expel(&mut self, id: &str, random: &mut Random) {
        if self.members.remove(id).is_some() {
            self.trace.note(format_args!("group: {id} is out"));
            self.start_rebalance(random);
        }
    }

    /// A member's process is dead; the group hears of it when the session ends.
    pub fn note_death(&mut self, id: &str) {
        let now = self.now;
        if let Some(member) = self.members.get_mut(id) {
            member.dead_since.get_or_insert(now);
        }
    }

    /// Begins a rebalance, or changes what the one under way wants.
    pub fn start_rebalance(&mut self, random: &mut Random) {
        if self.style == Style::Solo {
            return;
        }
        let alive: Vec<&String> = self.members.keys().collect();
        if alive.is_empty() {
            self.rebalance = None;
            return;
        }
        let mut target: BTreeMap<String, BTreeSet<TaskId>> =
            alive.iter().map(|id| ((*id).clone(), BTreeSet::new())).collect();
        let first = random.below(alive.len());
        for (number, task) in self.tasks.iter().enumerate() {
            let owner = if random.permille(200) { random.below(alive.len()) } else { (first + number) % alive.len() };
            target.entry(alive[owner].clone()).or_default().insert(*task);
        }
        for (id, member) in &mut self.members {
            let kept = &target[id];
            let leaving = |task: &&TaskId| match self.style {
                Style::Eager => true,
                Style::Cooperative => !kept.contains(task),
                Style::Abrupt | Style::Solo => false,
            };
            let already = |task: &&TaskId| member.revoking.iter().any(|tasks| tasks.contains(task));
            let revoked: BTreeSet<TaskId> =
                member.tasks.iter().filter(leaving).filter(|task| !already(task)).copied().collect();
            if !revoked.is_empty() {
                self.trace.note(format_args!("group: {id} is to give up {revoked:?}"));
                member.revoking.push_back(revoked.clone());
                member.events.push_back(MembershipEvent::TasksRevoked(revoked));
            }
        }
        self.rebalance = Some(Rebalance { deadline: self.now + REBALANCE_TIMEOUT, target });
        self.complete_rebalance();
    }

    /// Begins the next generation if every member has answered.
    fn complete_rebalance(&mut self) {
        if self.members.values().any(|member| !member.revoking.is_empty()) {
            return;
        }
        let Some(Rebalance { target, .. }) = self.rebalance.take() else { return };
        self.generation += 1;
        self.trace.note(format_args!("group: generation {}: {target:?}", self.generation));
        for (id, tasks) in target {
            if let Some(member) = self.members.get_mut(&id) {
                member.generation = self.generation;
                if self.style != Style::Abrupt {
                    // A client knows its generation before the application has taken the event.
                    member.known_generation = self.generation;
                }
                member.assign(tasks);
            }
        }
    }

    /// Lets time pass: dead members and those that hold up a rebalance are expelled.
    pub fn pass_time(&mut self, now: Duration, random: &mut Random) {
        self.now = now;
        let is_dead = |member: &Member| member.dead_since.is_some_and(|since| now - since > SESSION_TIMEOUT);
        let late = self.rebalance.as_ref().is_some_and(|rebalance| now > rebalance.deadline);
        let out: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| is_dead(member) || late && !member.revoking.is_empty())
            .map(|(id, _)| id.clone())
            .collect();
        for id in out {
            self.expel(&id, random);
        }
    }

    /// The next event of a member; `Err` when it is a member no more.
    ///
    /// # Errors
    ///
    /// When the member was expelled.
    #[allow(clippy::result_unit_err, reason = "there is one reason, which the documentation tells")]
    pub fn poll(&mut self, id: &str) -> Result<Option<MembershipEvent>, NotAMember> {
        let member = self.members.get_mut(id).ok_or(NotAMember)?;
        let event = member.events.pop_front();
        if let Some(MembershipEvent::TasksAssigned(_)) = &event {
            let generation = member.generations.pop_front().unwrap_or(-1);
            member.known_generation = member.known_generation.max(generation);
        }
        Ok(event)
    }

    /// Whether a member has something to hear.
    #[must_use]
    pub fn has_event(&self, id: &str) -> bool {
        self.members.get(id).is_none_or(|member| !member.events.is_empty())
    }

    /// A member has committed the tasks that it gives up.
    pub fn acknowledge(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id)
            && let Some(revoked) = member.revoking.pop_front()
        {
            member.tasks.retain(|task| !revoked.contains(task));
            self.complete_rebalance();
        }
    }

    /// The generation that a member's client believes to be in.
    #[must_use]
    pub fn generation_of(&self, id: &str) -> Option<i32> {
        self.members.get(id).map(|member| member.known_generation)
    }

    /// The ids of all members.
    pub fn member_ids(&self) -> impl Iterator<Item = &String> {
        self.members.keys()
    }
}
