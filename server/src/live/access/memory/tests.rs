//! What is remembered, for how long, and who is told.

use std::sync::Arc;
use std::time::Duration;

use super::{Found, Memory, Question, Waiter};

type Answers = Arc<Memory<u32, char>>;

const REUSE: Option<Duration> = Some(Duration::from_secs(5));

fn ask(answers: &Answers, key: u32) -> (Question<u32, char>, Waiter<char>) {
    match answers.look(&key) {
        Found::Ask(question, waiter) => (question, waiter),
        found => panic!("expected to ask, but {found:?}"),
    }
}

fn known(answers: &Answers, key: u32) -> Option<char> {
    match answers.look(&key) {
        Found::Known(value) => Some(value),
        Found::Ask(..) | Found::Joined(_) | Found::Full => None,
    }
}

#[tokio::test(start_paused = true)]
async fn one_asks_and_all_who_wait_are_told() {
    let answers: Answers = Memory::new(10, 10);
    let (question, first) = ask(&answers, 1);
    let Found::Joined(second) = answers.look(&1) else { panic!("it is being asked") };
    question.settle('a', REUSE);
    assert_eq!((first.answer().await, second.answer().await), (Some('a'), Some('a')));
    assert_eq!((answers.joins.value(), answers.hits.value()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_reused_until_its_time_is_over() {
    let answers: Answers = Memory::new(10, 10);
    ask(&answers, 1).0.settle('a', REUSE);
    tokio::time::advance(Duration::from_millis(4_999)).await;
    assert_eq!(known(&answers, 1), Some('a'));
    tokio::time::advance(Duration::from_millis(1)).await;
    ask(&answers, 1).0.settle('b', None);
    ask(&answers, 1).0.settle('c', REUSE);
    answers.forget(&1);
    drop(ask(&answers, 1));
    assert_eq!(answers.question_count(), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn t14_the_oldest_answer_goes_first_and_old_ones_do_not_stay() {
    let answers: Answers = Memory::new(3, 10);
    for key in 0..5 {
        ask(&answers, key).0.settle('a', REUSE);
    }
    assert_eq!((answers.answer_count(), answers.entries.len()), ((3, 3), 3));
    assert_eq!((known(&answers, 1), known(&answers, 2)), (None, Some('a')));
    tokio::time::advance(Duration::from_secs(6)).await;
    answers.sweep();
    assert_eq!((answers.answer_count(), answers.entries.len()), ((0, 3), 0));
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_does_not_take_a_newer_one_with_it() {
    let answers: Answers = Memory::new(2, 10);
    ask(&answers, 1).0.settle('a', REUSE);
    answers.forget(&1);
    ask(&answers, 1).0.settle('b', REUSE);
    ask(&answers, 2).0.settle('c', REUSE);
    assert_eq!((known(&answers, 1), known(&answers, 2)), (Some('b'), Some('c')));
}

#[tokio::test(start_paused = true)]
async fn f57_an_answer_that_is_forgotten_before_it_comes_is_not_kept() {
    let answers: Answers = Memory::new(10, 10);
    let (early, waiter) = ask(&answers, 1);
    answers.forget(&1);
    // Whoever comes afterwards asks anew, and the early answer does not get in their way.
    let (late, late_waiter) = ask(&answers, 1);
    early.settle('a', REUSE);
    assert_eq!(waiter.answer().await, Some('a'));
    assert!(matches!(answers.look(&1), Found::Joined(_)));
    late.settle('b', REUSE);
    assert_eq!((late_waiter.answer().await, known(&answers, 1)), (Some('b'), Some('b')));
    // Also when nobody has come meanwhile.
    let (early, _waiter) = ask(&answers, 2);
    answers.forget(&2);
    early.settle('a', REUSE);
    assert_eq!(known(&answers, 2), None);
    assert_eq!((answers.question_count(), answers.answer_count()), ((0, 10), (1, 10)));
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_question_is_still_asked_for_those_who_wait_and_only_for_them() {
    let answers: Answers = Memory::new(10, 10);
    let (mut question, waiter) = ask(&answers, 1);
    answers.forget(&1);
    assert!(!question.is_abandoned());
    drop(waiter);
    let (mut second, _waiter) = ask(&answers, 1);
    assert!(question.is_abandoned());
    drop(question);
    assert!(!second.is_abandoned());
    assert!(matches!(answers.look(&1), Found::Joined(_)));
}

#[tokio::test(start_paused = true)]
async fn who_dies_while_asking_leaves_nobody_waiting() {
    let answers: Answers = Memory::new(10, 10);
    let (question, waiter) = ask(&answers, 1);
    let task = tokio::spawn(async move {
        let _question = question;
        panic!("on purpose");
    });
    assert_eq!(waiter.answer().await, None);
    assert!(task.await.is_err());
    ask(&answers, 1).0.settle('a', REUSE);
    assert_eq!(known(&answers, 1), Some('a'));
}

#[tokio::test(start_paused = true)]
async fn t12_what_nobody_waits_for_is_not_asked() {
    let answers: Answers = Memory::new(10, 10);
    let (mut question, waiter) = ask(&answers, 1);
    assert!(!question.is_abandoned());
    drop(waiter);
    assert!(question.is_abandoned());
    // The late return of the first asker does not disturb the second.
    let (second, waiter) = ask(&answers, 1);
    drop(question);
    second.settle('b', None);
    assert_eq!(waiter.answer().await, Some('b'));
}

#[tokio::test(start_paused = true)]
async fn t12_questions_under_way_are_bounded() {
    let answers: Answers = Memory::new(10, 2);
    let (first, _second) = (ask(&answers, 1), ask(&answers, 2));
    assert!(matches!(answers.look(&3), Found::Full));
    drop(first);
    drop(ask(&answers, 3));
}
