//! Groups: who has which task, and for how long.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use millstream_core::id::{TaskId, TopicName};
use millstream_core::port::{Consumer, MembershipEvent};
use millstream_kafka::KafkaConsumer;

use crate::cluster::{App, eventually, next_event};

/// A member, and the tasks that it has.
struct Thread {
    consumer: KafkaConsumer,
    tasks: BTreeSet<TaskId>,
    revoked: usize,
}

impl Thread {
    fn new(app: &App, process: &str, topic: &TopicName) -> Self {
        Self { consumer: app.member(process, topic), tasks: BTreeSet::new(), revoked: 0 }
    }

    fn turn(&mut self, topic: &TopicName) {
        match next_event(&mut self.consumer, topic) {
            Some(MembershipEvent::TasksAssigned(tasks)) => self.tasks = tasks,
            Some(MembershipEvent::TasksRevoked(tasks)) => {
                assert_eq!(tasks, self.tasks, "an eager member gives up everything");
                self.tasks.clear();
                self.revoked += 1;
            }
            Some(MembershipEvent::TasksLost) => self.tasks.clear(),
            None => self.consumer.wait(Duration::from_millis(20)),
        }
    }
}

fn tasks(partitions: std::ops::Range<i32>) -> BTreeSet<TaskId> {
    partitions.map(|partition| TaskId::new(0, partition)).collect()
}

#[test]
fn solo_is_told_its_tasks_once() {
    let app = App::exactly_once();
    let mut consumer = app.solo();
    let told = consumer.poll_event().expect("an event");
    assert_eq!(told, Some(MembershipEvent::TasksAssigned(tasks(0..1))));
    assert_eq!(consumer.poll_event().expect("no event"), None);
    assert_eq!(consumer.group_metadata().generation, -1);
}

#[test]
fn two_members_share_the_tasks_and_one_that_leaves_gives_them_up_at_once() {
    let app = App::exactly_once();
    let topic = app.topic("shared", 4);
    let mut one = Thread::new(&app, "one", &topic);
    eventually("all tasks", || {
        one.turn(&topic);
        (one.tasks == tasks(0..4)).then_some(())
    });
    let mut other = Thread::new(&app, "other", &topic);
    eventually("half of the tasks each", || {
        one.turn(&topic);
        other.turn(&topic);
        (one.tasks.len() == 2 && other.tasks.len() == 2 && one.tasks.is_disjoint(&other.tasks)).then_some(())
    });
    assert_eq!(one.revoked, 1);
    let start = Instant::now();
    other.consumer.close(true);
    eventually("all tasks again", || {
        one.turn(&topic);
        (one.tasks == tasks(0..4)).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
}

#[test]
fn a_member_that_comes_back_has_its_tasks_at_once() {
    let app = App::exactly_once();
    let topic = app.topic("static", 4);
    let mut one = Thread::new(&app, "one", &topic);
    let mut other = Thread::new(&app, "other", &topic);
    eventually("half of the tasks each", || {
        one.turn(&topic);
        other.turn(&topic);
        (one.tasks.len() == 2 && other.tasks.len() == 2).then_some(())
    });
    let (had, revoked) = (other.tasks.clone(), one.revoked);
    other.consumer.close(false);
    drop(other);
    let start = Instant::now();
    let mut back = Thread::new(&app, "other", &topic);
    eventually("the same tasks", || {
        one.turn(&topic);
        back.turn(&topic);
        (back.tasks == had).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(3), "it took {:?}", start.elapsed());
    assert_eq!(one.revoked, revoked, "nobody else has noticed");
}

#[test]
fn a_waiting_thread_is_woken() {
    let app = App::exactly_once();
    let mut consumer = app.solo();
    let waker = consumer.waker();
    let start = Instant::now();
    let thread = std::thread::spawn(move || waker.wake());
    consumer.wait(Duration::from_secs(20));
    thread.join().expect("woken");
    assert!(start.elapsed() < Duration::from_secs(10));
}
