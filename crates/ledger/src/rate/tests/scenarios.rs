//! What limits do, one line an event.

use super::table::check;

#[test]
fn a_burst_goes_at_once_and_then_the_rate() {
    check(
        "limit l: 60 calls/minute burst 3
         take a
         take b
         take c
         take d => wait 1 by l calls/minute
         at 0.999999 take d => wait 0.000001 by l calls/minute
         at 1 take d
         take e => wait 1 by l calls/minute
         at 1.5 take e => wait 0.5 by l calls/minute
         at 3.25 take e
         take f
         take g => wait 0.75 by l calls/minute
         # Never more than the burst, however long nothing came.
         at 86400 take g
         take h
         take i
         take j => wait 1 by l calls/minute",
    );
}

#[test]
fn a_limit_that_does_not_divide_its_time_does_not_drift() {
    check(
        "limit l: 7 calls/second burst 2
         take a
         take b
         take c => wait 0.142858 by l calls/second
         # 1/7 s is 142,857.142... microseconds: the k-th call more fits at k/7 s, and no rounding adds up.
         at 0.142858 take c
         take d => wait 0.142857 by l calls/second
         at 0.285715 take d
         at 0.428571 take e => wait 0.000001 by l calls/second
         at 0.428572 take e
         at 0.571429 take f
         at 0.714286 take g
         at 0.857143 take h
         take i => wait 0.142857 by l calls/second
         at 1 take i
         take j => wait 0.142858 by l calls/second",
    );
}

#[test]
fn all_rates_of_a_limit_count_and_the_longest_wait_is_told() {
    check(
        "limit l: 2 calls/second burst 2, 600 tokens/minute burst 100, 36 usd/hour burst 0.1
         take a tokens=60 usd=0.05
         take b tokens=60 => wait 2 by l tokens/minute
         take b tokens=10 usd=0.1 => wait 5 by l usd/hour
         take b tokens=60 usd=0.1 => wait 5 by l usd/hour
         expect l calls/second=1 tokens/minute=40 usd/hour=0.05
         take b tokens=10 usd=0.05
         take c => wait 0.5 by l calls/second
         # What can never go is told first, and a call that asks nothing of a rate is not stopped by it.
         take c tokens=101 => never by l tokens/minute
         take c usd=0.100000001 => never by l usd/hour
         at 1 expect l calls/second=2 tokens/minute=40 usd/hour=0.01
         take c calls=0
         take d tokens=40",
    );
}

#[test]
fn tokens_are_counted_together_and_apart() {
    check(
        "limit l: 100 tokens/second burst 100, 80 in/second burst 80, 30 out/second burst 30
         take a in=60 out=30
         take b in=10 out=1 => wait 0.033334 by l out/second
         take b in=11 out=0 => wait 0.01 by l tokens/second
         take b in=21 out=0 => wait 0.11 by l tokens/second
         take b in=81 => never by l in/second
         expect l tokens/second=10 in/second=20 out/second=0",
    );
}

#[test]
fn what_was_not_used_is_given_back() {
    check(
        "limit l: 60 tokens/minute burst 100
         take a tokens=80
         take b tokens=30 => wait 10 by l tokens/minute
         at 5 expect l tokens/minute=25
         # Of the 5 that have run out, 5 were really used.
         end a tokens=10
         expect l tokens/minute=95
         take b tokens=95
         at 6 end b tokens=0
         expect l tokens/minute=96
         at 10 expect l tokens/minute=100",
    );
}

#[test]
fn time_that_has_passed_is_not_given_back() {
    check(
        "limit l: 60 tokens/minute burst 100
         take a tokens=80
         at 70 expect l tokens/minute=90
         # 70 of its 80 ran out; without it the bucket would have been full all the time, and no more than that.
         end a tokens=0
         expect l tokens/minute=100
         take b tokens=100
         take c tokens=1 => wait 1 by l tokens/minute
         # It ran out long ago: nothing is left to give back.
         at 300 take d tokens=50
         end b tokens=0
         expect l tokens/minute=50",
    );
}

#[test]
fn what_later_holds_would_have_run_down_is_given_back() {
    check(
        "limit l: 1 tokens/second burst 20
         take a tokens=10
         at 1 take b tokens=10
         at 12 expect l tokens/second=12
         # Had it taken 2, the bucket would have been empty at 2 s if not for `b`, and at 11 s with it.
         end a tokens=2
         expect l tokens/second=20
         at 100 take c tokens=10
         at 105 take d tokens=10
         at 106 end c tokens=3
         # c ran down at 103 s; d has run down for a second.
         expect l tokens/second=11
         end d tokens=10
         expect l tokens/second=11",
    );
}

#[test]
fn holds_that_end_in_any_order_leave_what_was_used() {
    for order in ["a b c", "a c b", "b a c", "b c a", "c a b", "c b a"] {
        let ends: String = order.split(' ').map(|name| format!("end {name} tokens=2\n")).collect();
        check(&format!(
            "limit l: 1 tokens/second burst 30
             take a tokens=10
             take b tokens=10
             take c tokens=10
             at 4
             {ends}
             # 6 were used, and 4 have run out.
             expect l tokens/second=28"
        ));
    }
}

#[test]
fn what_was_used_beyond_the_hold_is_a_debt_from_then_on() {
    check(
        "limit l: 1 tokens/second burst 20
         take a tokens=5
         at 3 end a tokens=45
         expect l tokens/second=-22
         take b tokens=1 => wait 23 by l tokens/second
         # What asks nothing of it goes.
         take b
         at 26 take c tokens=1
         take d tokens=1 => wait 1 by l tokens/second",
    );
}

#[test]
fn the_most_specific_limit_of_a_group_counts_and_groups_side_by_side() {
    check(
        "limit all: 100 calls/hour burst 100
         limit tier: 4 calls/hour burst 4 where tier=batch
         limit tool-tier: 3 calls/hour burst 3 where tool=search,tier=batch
         limit user-tier: 2 calls/hour burst 2 where user=ann,tier=batch
         limit user-tool: 1 calls/hour burst 1 where user=ann,tool=search
         limit usd: 1 usd/hour burst 1 group money
         take a user=ann,tier=batch,tool=search+x
         take b user=ann,tier=batch,tool=search => wait 3600 by user-tool calls/hour
         take b user=ann,tier=batch
         take c user=ann,tier=batch,tool=x
         take d user=ann,tier=batch => wait 1800 by user-tier calls/hour
         take d user=bob,tier=batch,tool=search
         take e user=bob,tier=batch
         take f user=bob usd=1
         take g user=bob usd=0.1 => wait 360 by usd usd/hour
         # A limit that is not the most specific one is not touched.
         expect all calls/hour=99
         expect tier calls/hour=3
         expect tool-tier calls/hour=2
         expect user-tier calls/hour=0
         expect user-tool calls/hour=0",
    );
}

#[test]
fn all_agents_of_a_user_share_one_bucket_where_that_is_declared() {
    check(
        "limit users: 2 calls/minute burst 2 each user
         limit ann: 3 calls/minute burst 3 where user=ann
         take a user=bob,agent=x
         take b user=bob,agent=y
         take c user=bob,agent=z => wait 30 by users user=bob calls/minute
         take c user=cy,agent=x
         # One that names the user is more specific than one for each.
         take d user=ann
         take e user=ann
         take f user=ann
         take g user=ann => wait 20 by ann calls/minute
         # No user, no limit.
         take g agent=x
         expect users user=bob calls/minute=0
         expect users user=cy calls/minute=1
         expect users user=dan calls/minute=2",
    );
}

#[test]
fn buckets_are_by_the_order_of_labels_whatever_was_written() {
    check(
        "limit l: 1 calls/hour burst 1 each user,agent
         take a user=u,agent=a
         limit l: 1 calls/hour burst 1 each agent,user
         take b user=u,agent=a => wait 3600 by l agent=a,user=u calls/hour
         take b user=a,agent=u",
    );
}

#[test]
fn a_lowered_limit_counts_what_went_before_and_a_raised_one_helps_at_once() {
    check(
        "limit l: 100 tokens/second burst 100
         take a tokens=100
         at 0.5 limit l: 10 tokens/second burst 20
         expect l tokens/second=-30
         take b tokens=1 => wait 3.1 by l tokens/second
         # What the open one gives back, it gives back from then on.
         at 1.5 end a tokens=80
         expect l tokens/second=0
         limit l: 1000 tokens/second burst 500
         take b tokens=480
         take c tokens=1 => wait 0.001 by l tokens/second
         # The time up to an edit has passed at the old rate, idle or not.
         at 2 limit l: 1 tokens/second burst 500
         take c tokens=500
         take d tokens=1 => wait 1 by l tokens/second",
    );
}

#[test]
fn a_rate_that_changes_its_length_takes_over_what_went() {
    check(
        "limit l: 60 tokens/minute burst 60
         take a tokens=60
         limit l: 3600 tokens/hour burst 100
         expect l tokens/hour=40
         limit l: 2 usd/hour burst 2, 2 tokens/second burst 100
         expect l usd/hour=2 tokens/second=40
         # The open one knows of no money in it, but pays what is used beyond its hold.
         end a tokens=0 usd=0.5
         expect l usd/hour=1.5 tokens/second=100",
    );
}

#[test]
fn a_rate_that_is_new_has_nothing_to_give_back() {
    check(
        "limit l: 10 calls/second burst 10
         take a usd=1
         limit l: 10 calls/second burst 10, 1 usd/hour burst 5
         take b usd=1
         expect l calls/second=8 usd/hour=4
         end a calls=0 usd=0
         expect l calls/second=9 usd/hour=4
         end b calls=0 usd=0
         expect l calls/second=10 usd/hour=5",
    );
}

#[test]
fn a_bucket_that_is_full_again_is_forgotten() {
    check(
        "limit l: 60 calls/minute burst 2 each user
         take a user=a
         take b user=b
         end a
         take c user=c
         end c
         buckets => 3
         at 0.999999 take d user=d
         buckets => 4
         # b has not ended.
         at 1 take e user=e
         buckets => 3
         at 50 end b
         end d
         end e
         buckets => 0",
    );
}

#[test]
fn a_limit_that_is_removed_is_forgotten_and_its_holds_with_it() {
    check(
        "limit l: 1 calls/hour burst 1
         take a
         take b => wait 3600 by l calls/hour
         remove l
         buckets => 0
         take b
         limit l: 1 calls/hour burst 1
         take c
         # What the others give back is not this limit's.
         end a calls=0
         end b calls=0
         take d => wait 3600 by l calls/hour
         end c calls=0
         take d
         # Nor is what they used too much.
         remove l
         limit l: 2 calls/hour burst 2
         take e
         end d calls=9
         expect l calls/hour=1
         buckets => 1
         end e calls=0
         remove l
         limit l: 1 calls/hour burst 1
         take d
         # So with an edit of what it has buckets for.
         limit l: 1 calls/hour burst 1 each user
         take e user=u
         limit l: 1 calls/hour burst 1
         take f
         end d calls=0
         take g => wait 3600 by l calls/hour
         end e calls=9
         take g => wait 3600 by l calls/hour",
    );
}

#[test]
fn an_attempt_takes_once_and_ends_once() {
    check(
        "limit l: 1 calls/second burst 5
         take a
         take a => attempt 0 of action 61000000000000000000000000000000 has taken from its rate limits already
         expect l calls/second=4
         end a calls=0
         end a calls=0
         end z calls=7
         expect l calls/second=5
         take a
         expect l calls/second=4",
    );
}

#[test]
fn time_that_goes_backwards_stands_still() {
    check(
        "limit l: 1 calls/second burst 2
         at 10 take a
         at 4 take b
         take c => wait 7 by l calls/second
         end a calls=0
         take c
         at 9.5 take d => wait 1.5 by l calls/second
         at 11 take d",
    );
}

#[test]
fn the_largest_amounts_fit() {
    check(
        "limit l: 9223372036.854775807 usd/second burst 9223372036.854775807
         take a nano=9223372036854775807
         take b nano=1 => wait 0.000001 by l usd/second
         at 0.5 expect l usd/second=4611686018.427387903
         end a nano=0
         expect l usd/second=9223372036.854775807
         limit l: 0.000000001 usd/hour burst 9223372036.854775807
         at 1 take b nano=9223372036854775807
         take c nano=2 => wait 7200 by l usd/hour",
    );
}
