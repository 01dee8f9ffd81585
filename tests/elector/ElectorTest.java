import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * The rules of the election by example: a manual of {@link Elector}. The pod under test is web-0; web-1 and web-2 are other participants.
 * The timing is client-go's: lease-duration 15 s, renew-deadline 10 s, retry-period 2 s.
 */
class ElectorTest {

    private static final String SELF = ElectorBench.SELF;
    private static final long MS = 1_000_000;

    private ElectorBench bench = new ElectorBench();

    // --- Registration ------------------------------------------------------------------------------------------------

    @Test
    void a_sidecar_gives_its_pod_the_keys_of_a_follower() {
        bench.follow();
        assertEquals("false true 0", bench.keys(SELF));
    }

    @Test
    void a_registration_adds_only_the_keys_that_are_missing() {
        bench.edit(SELF, "true", null, null); // a predecessor of this container was the leader
        bench.follow();
        assertEquals("true true 0", bench.keys(SELF));
    }

    @Test
    void a_pod_that_is_not_registered_acquires_nothing() {
        bench.hold(request -> ElectorBench.isPatch(request, SELF));
        bench.start();
        bench.run(Duration.ofMinutes(1));
        assertNull(bench.lease());
    }

    @Test
    void a_sidecar_whose_pod_does_not_exist_exits_with_a_failure() {
        bench.remove(SELF);
        bench.start();
        assertEquals(1, bench.exitCode());
    }

    // --- Acquiring: read, win, write ---------------------------------------------------------------------------------

    @Test
    void a_leader_reads_the_lease_then_the_group_then_wins_then_fences_then_promotes_itself() {
        bench.createParticipant("web-1");
        bench.start();
        assertEquals(List.of("POST lease", "LIST", "PUT web-0", "PATCH web-1 false", "PATCH web-0 true"),
                bench.asked().stream().filter(request -> !request.startsWith("GET")).skip(1).limit(5).toList());
        assertEquals("false true " + bench.status().epoch(), bench.keys("web-1"));
        assertEquals("true true " + bench.status().epoch(), bench.keys(SELF));
    }

    @Test
    void a_pod_that_came_with_the_epoch_of_the_leader_is_fenced_before_the_promotion_like_any_other() {
        bench.createParticipant("web-1");
        bench.start();
        String epoch = bench.status().epoch();

        ElectorBench same = new ElectorBench();
        same.createPod("web-1");
        same.edit("web-1", "false", "true", epoch); // its template was copied from a pod that a leader of this epoch had fenced
        String version = same.pod("web-1").version();
        same.start();
        assertEquals(epoch, same.status().epoch(), "the test is about this very epoch");
        assertEquals(List.of("PATCH web-1 false", "PATCH web-0 true", "PATCH web-1 false"),
                same.asked().stream().filter(request -> request.startsWith("PATCH")).skip(1).toList());
        assertTrue(ResourceVersion.isNewer(same.pod("web-1").version(), version), "only a write that changes the pod fences it");
        assertEquals("false true " + epoch, same.keys("web-1"));
    }

    @Test
    void the_pod_that_is_labelled_is_fenced_last() {
        bench.createParticipant("web-1");
        bench.edit("web-1", "true", "true", "7");
        bench.createParticipant("web-2");
        bench.start();
        bench.run(5000);
        assertEquals(List.of("PATCH web-2 false", "PATCH web-1 false", "PATCH web-0 true"),
                bench.asked().stream().filter(request -> request.startsWith("PATCH")).skip(1).toList());
    }

    @Test
    void no_leader_is_promoted_over_a_pod_that_cannot_be_fenced() {
        bench.createParticipant("web-1");
        bench.answer(request -> ElectorBench.isPatch(request, "web-1") ? new Reply.Failed("500", 0) : null);
        bench.start();
        assertFalse(bench.asked().contains("PATCH web-0 true"));
        bench.answer(request -> null);
        bench.run(5000);
        assertTrue(bench.status().leading());
    }

    @Test
    void a_put_that_creates_the_lease_is_no_win() {
        bench.follow();
        bench.answer(request -> request instanceof Effect.PutLease put ? new Reply.LeaseReply(put.lease(), true) : null);
        bench.releaseLease();
        bench.run(100);
        assertFalse(bench.asked().contains("PATCH web-1 false"));
    }

    @Test
    void a_sidecar_whose_put_meets_a_conflict_starts_over_with_the_lease_and_the_group() {
        bench.follow();
        bench.answer(request -> request instanceof Effect.PutLease ? new Reply.Conflict() : null);
        bench.releaseLease();
        bench.run(100);
        bench.answer(request -> null);
        bench.run(5000);
        assertEquals(List.of("LIST", "PUT web-0", "GET lease", "LIST", "PUT web-0"), bench.asked().subList(0, 5));
        assertTrue(bench.status().leading());
    }

    @Test
    void a_lease_that_is_missing_is_created_by_the_sidecar_that_acquires_it() {
        bench.follow();
        bench.deleteLease();
        bench.run(5000);
        assertEquals(List.of("POST lease", "LIST", "PUT web-0"), bench.asked().subList(0, 3));
        assertTrue(bench.status().leading());
    }

    @Test
    void a_win_whose_reply_is_lost_is_found_by_a_get_and_won_anew_at_once() {
        bench.follow();
        bench.answer(request -> request instanceof Effect.PutLease put && client(put) ? new Reply.Failed("connection reset", 0) : null);
        bench.releaseLease();
        bench.run(1000);
        assertTrue(bench.status().leading());
        assertEquals(List.of("LIST", "PUT web-0", "GET lease", "LIST", "PUT web-0"), bench.asked().subList(0, 5));
    }

    /** Executes the first PUT all the same. */
    private boolean client(Effect.PutLease put) {
        boolean first = !bench.lease().isHeld();
        if (first) {
            bench.execute(put);
        }
        return first;
    }

    // --- Rank: who acquires a free Lease -----------------------------------------------------------------------------

    @Test
    void the_pod_that_is_first_in_rank_acquires_a_released_lease_at_once() {
        bench.follow();
        long released = bench.now();
        bench.releaseLease();
        bench.run(5000);
        assertEquals(released, bench.askedAt("LIST"));
    }

    @Test
    void a_pod_waits_50_ms_for_each_that_is_newer() {
        bench.follow();
        bench.createParticipant("web-2");
        bench.createParticipant("web-3");
        bench.takeLease("web-1");
        long released = bench.now();
        bench.releaseLease();
        bench.run(5000);
        assertEquals(released + 100 * MS, bench.askedAt("LIST"));
    }

    @Test
    void a_ready_pod_does_not_wait_for_newer_pods_that_are_not() {
        bench.follow();
        bench.createParticipant("web-2");
        bench.setReady("web-2", false);
        long released = bench.now();
        bench.releaseLease();
        bench.run(5000);
        assertEquals(released, bench.askedAt("LIST"));
    }

    @Test
    void a_pod_that_is_not_ready_waits_a_retry_period_more_while_another_is() {
        bench.follow();
        bench.createParticipant("web-2");
        bench.setReady(SELF, false);
        long released = bench.now();
        bench.releaseLease();
        bench.run(5000);
        assertEquals(released + 2050 * MS, bench.askedAt("LIST"));
    }

    @Test
    void a_pod_that_is_not_ready_leads_where_no_pod_is() {
        bench.follow();
        bench.setReady(SELF, false);
        bench.setReady("web-1", false);
        bench.releaseLease();
        bench.run(5000);
        assertTrue(bench.status().leading());
    }

    @Test
    void a_terminating_pod_acquires_nothing() {
        bench.follow();
        bench.beginDeletion(SELF);
        bench.releaseLease();
        bench.run(Duration.ofMinutes(1));
        assertFalse(bench.asked().contains("PUT web-0"));
    }

    @Test
    void the_last_holder_waits_a_retry_period_more_than_the_others() {
        bench.lead();
        long emptied = bench.now();
        bench.releaseLease(); // by hand
        assertFalse(bench.status().leading());
        bench.run(5000);
        assertEquals(emptied + 2050 * MS, bench.askedAt("LIST"));
        assertEquals("true", bench.pod(SELF).leadership(), "its label stayed on, because no other pod led");
    }

    @Test
    void a_participant_whose_turn_does_not_come_asks_for_nothing() {
        bench.follow();
        for (int i = 10; i < 40; i++) {
            bench.createParticipant("web-" + i);
        }
        bench.takeLease("web-1");
        bench.run(100);
        bench.mark();
        bench.releaseLease();
        bench.run(1000);
        bench.takeLease("web-39");
        bench.run(1000);
        assertEquals(List.of(), bench.asked());
    }

    // --- Expiry, and holders that are gone ---------------------------------------------------------------------------

    @Test
    void a_lease_expires_when_it_was_not_renewed_for_the_duration_that_its_holder_recorded() {
        bench.follow();
        long renewed = bench.now();
        bench.takeLeaseAsClientGo("web-1", 6);
        bench.run(5999);
        assertFalse(bench.asked().contains("LIST"));
        bench.run(5000);
        assertEquals(6000, (bench.askedAt("LIST") - renewed) / MS, 3.0);
    }

    @Test
    void a_recorded_duration_of_more_than_an_hour_counts_as_the_own_one() {
        bench.follow();
        long renewed = bench.now();
        bench.takeLeaseAsClientGo("web-1", 1_000_000);
        bench.run(20_000);
        assertEquals(renewed + 15_000 * MS, bench.askedAt("LIST"));
    }

    @Test
    void a_holder_whose_pod_was_deleted_is_not_waited_for() {
        bench.follow();
        bench.remove("web-1");
        bench.run(1000);
        assertEquals(List.of("GET web-1", "LIST", "PUT web-0", "PATCH web-0 true"), bench.asked());
    }

    @Test
    void a_holder_whose_pod_was_replaced_under_its_name_is_not_waited_for() {
        bench.follow();
        bench.remove("web-1");
        bench.createParticipant("web-1");
        bench.run(1000);
        assertTrue(bench.status().leading());
    }

    @Test
    void a_holder_whose_pod_has_finished_is_not_waited_for() {
        bench.follow();
        bench.finish("web-1");
        bench.run(1000);
        assertTrue(bench.status().leading());
    }

    @Test
    void a_holder_whose_pod_only_lost_its_label_is_waited_for() {
        bench.follow();
        bench.edit("web-1", null, null, null);
        bench.run(10_000);
        assertTrue(bench.asked().contains("GET web-1"));
        assertFalse(bench.asked().contains("LIST"));
    }

    @Test
    void a_restarted_container_leads_again_at_once_and_its_label_is_never_off() {
        bench.createParticipant("web-1");
        bench.createParticipant("web-2");
        bench.edit(SELF, "true", "true", "7");
        bench.takeLease(SELF); // by the container before
        bench.start();
        assertTrue(bench.status().leading());
        assertTrue(bench.askedAt("LIST") - bench.turns().getFirst().now() < 50 * MS);
        assertFalse(bench.asked().contains("PATCH web-0 false"));
    }

    @Test
    void a_pod_does_not_resume_the_lease_of_a_deleted_pod_of_its_name() {
        bench.createParticipant("web-1");
        bench.takeLease(SELF);
        bench.remove(SELF);
        bench.createPod(SELF);
        bench.hold(request -> request instanceof Effect.GetPod get && get.suspectUid() != null);
        bench.start();
        assertFalse(bench.asked().contains("LIST"));
    }

    // --- Leading: renewing and healing -------------------------------------------------------------------------------

    @Test
    void a_leader_renews_once_per_retry_period_and_asks_for_nothing_else() {
        bench.lead();
        bench.silenceWatches();
        bench.run(20_000);
        assertEquals(List.of("PUT web-0"), bench.asked().stream().distinct().toList());
        assertEquals(10, bench.asked().size(), 1.0);
    }

    @Test
    void a_leader_renews_before_it_labels_its_pod_again() {
        bench.lead();
        bench.edit(SELF, "false", "true", bench.status().epoch());
        bench.run(100);
        assertEquals(List.of("PUT web-0", "PATCH web-0 true"), bench.asked());
    }

    @Test
    void a_leader_renews_before_it_heals_what_may_be_a_later_leaders_write() {
        bench.lead();
        bench.edit("web-1", "true", "true", bench.status().epoch()); // a policy may keep a pod's epoch as it was
        bench.run(100);
        assertEquals(List.of("PUT web-0", "PATCH web-1 false"), bench.asked());
        bench.mark();
        bench.edit("web-1", "false", "true", "1000000");
        bench.run(100);
        assertEquals(List.of("PUT web-0", "PATCH web-1 false"), bench.asked());
    }

    @Test
    void a_leader_observes_a_pod_again_after_a_conflict_and_renews_before_it_writes() {
        bench.lead();
        bench.hold(request -> ElectorBench.isPatch(request, "web-1"));
        bench.edit("web-1", "true", "true", "1");
        bench.run(100);
        bench.edit("web-1", "true", "true", "2"); // the patch that is under way rests on the version before
        bench.hold(request -> false);
        bench.run(500);
        // No GET: the watch has shown the newer version meanwhile.
        assertEquals(List.of("PUT web-0", "PATCH web-1 false", "PUT web-0", "PATCH web-1 false"), bench.asked());
        assertEquals("false true " + bench.status().epoch(), bench.keys("web-1"));
    }

    @Test
    void a_leader_restores_the_keys_of_its_own_pod() {
        bench.lead();
        bench.edit(SELF, null, null, null);
        bench.run(1000);
        assertEquals("true true " + bench.status().epoch(), bench.keys(SELF));
    }

    @Test
    void a_follower_restores_only_missing_keys_of_its_own_pod() {
        bench.follow();
        bench.edit(SELF, null, "no", "0");
        bench.edit("web-1", null, null, null);
        bench.run(1000);
        assertEquals("false no 0", bench.keys(SELF), "the wrong value is the leader's to correct");
        assertEquals("null null null", bench.keys("web-1"));
    }

    @Test
    void a_leader_that_learns_of_another_holder_writes_nothing_more() {
        bench.lead();
        bench.takeLease("web-1");
        bench.edit("web-1", "true", "true", "9");
        bench.run(1000);
        assertEquals(List.of(), bench.asked());
        assertFalse(bench.status().leading());
    }

    @Test
    void a_leader_whose_pod_refuses_the_label_releases_the_lease_and_stands_back_for_a_lease_duration() {
        bench.answer(request -> ElectorBench.isPatch(request, SELF) && ((Effect.PatchPod) request).leadership().equals("true")
                ? new Reply.Failed("422 refused by a webhook", 0) : null);
        lead(false);
        bench.run(40_000);
        assertTrue(bench.askedAt("LIST") >= bench.askedAt("PUT nobody") + 15_000 * MS);
    }

    private void lead(boolean labelled) {
        bench.start();
        assertEquals(labelled, bench.status().leading());
        bench.mark();
    }

    @Test
    void the_kubernetes_event_follows_the_promotion_and_the_end_of_the_hand_over() {
        bench.lead();
        bench.turn(new Event.Stop());
        bench.run(100);
        assertEquals(List.of(), bench.effects(Effect.RecordEvent.class));
        bench.run(3000);
        assertEquals(List.of(SELF + " stopped leading"),
                bench.effects(Effect.RecordEvent.class).stream().map(Effect.RecordEvent::message).toList());
        ElectorBench.Turn won = bench.turns().stream().filter(turn -> turn.indexOf(Effect.RecordEvent.class::isInstance) >= 0).findFirst()
                .orElseThrow();
        assertTrue(won.published().leading(), "not before the label is on");
    }

    // --- Leaving -----------------------------------------------------------------------------------------------------

    @Test
    void a_leader_that_is_terminated_releases_the_lease_and_keeps_its_label_until_its_successor_takes_it() {
        bench.lead();
        bench.turn(new Event.Stop());
        bench.run(500);
        assertEquals(List.of("PUT nobody"), bench.asked());
        assertEquals("true", bench.pod(SELF).leadership());
        bench.takeLease("web-1");
        bench.edit(SELF, "false", "true", bench.lease().version()); // the fence
        assertEquals(0, bench.exitCode());
        assertEquals(List.of("PUT nobody"), bench.asked());
    }

    @Test
    void a_leader_without_a_successor_removes_its_label_after_two_seconds() {
        bench.lead();
        long stopped = bench.now();
        bench.turn(new Event.Stop());
        bench.run(3000);
        assertEquals(2000, (bench.askedAt("PATCH web-0 false") - stopped) / MS, 10.0);
        assertEquals(0, bench.exitCode());
    }

    @Test
    void a_leader_without_another_participant_removes_its_label_at_once() {
        lead(true);
        bench.turn(new Event.Stop());
        bench.run(100);
        assertEquals(List.of("PUT nobody", "PATCH web-0 false"), bench.asked());
        assertEquals(0, bench.exitCode());
    }

    @Test
    void a_leader_whose_promotion_may_still_arrive_fences_its_own_pod_before_it_exits() {
        bench.answer(request -> ElectorBench.isPatch(request, SELF) && ((Effect.PatchPod) request).leadership().equals("true")
                ? new Reply.Failed("timeout", 0) : null);
        lead(false);
        bench.turn(new Event.Stop());
        bench.run(1000);
        assertEquals("PATCH web-0 false", bench.asked().getLast());
        assertEquals(0, bench.exitCode());
    }

    @Test
    void a_leader_whose_successor_does_not_fence_it_removes_its_label_3200_ms_after_sigterm() {
        bench.lead();
        long stopped = bench.now();
        bench.turn(new Event.Stop());
        bench.run(100);
        bench.takeLease("web-1");
        bench.run(5000);
        assertEquals(stopped + 3200 * MS, bench.askedAt("PATCH web-0 false"));
    }

    @Test
    void a_leader_whose_successor_is_no_sidecar_removes_its_label_at_once() {
        bench.lead();
        bench.turn(new Event.Stop());
        bench.run(100);
        bench.takeLeaseAsClientGo("web-9", 15);
        bench.run(100);
        assertEquals("false", bench.pod(SELF).leadership());
        assertEquals(0, bench.exitCode());
    }

    @Test
    void a_release_waits_250_ms_at_most_for_a_pod_write_that_is_under_way() {
        bench.lead();
        bench.hold(request -> ElectorBench.isPatch(request, "web-1"));
        bench.edit("web-1", "true", "true", "1");
        bench.run(100);
        long stopped = bench.now();
        bench.turn(new Event.Stop());
        bench.run(1000);
        assertEquals(stopped + 250 * MS, bench.askedAt("PUT nobody"));
    }

    @Test
    void a_release_whose_reply_is_lost_is_looked_up() {
        bench.lead();
        bench.answer(request -> request instanceof Effect.PutLease put && !put.lease().isHeld() && bench.releaseLease() != null
                ? new Reply.Failed("connection reset", 0) : null);
        bench.turn(new Event.Stop());
        bench.run(1000);
        assertEquals(List.of("PUT nobody", "GET lease"), bench.asked());
    }

    @Test
    void a_process_ends_four_seconds_after_sigterm_whatever_is_left_undone() {
        bench.lead();
        bench.hold(request -> true);
        bench.turn(new Event.Stop());
        bench.run(3999);
        assertNull(bench.exitCode());
        bench.run(1);
        assertEquals(0, bench.exitCode());
    }

    @Test
    void a_leader_whose_pod_is_deleted_hands_over_and_stays_until_sigterm() {
        bench.lead();
        bench.beginDeletion(SELF);
        bench.run(100);
        assertEquals(List.of("PUT nobody"), bench.asked());
        bench.takeLease("web-1");
        bench.edit(SELF, "false", "true", bench.lease().version());
        bench.run(60_000);
        assertNull(bench.exitCode());
        bench.turn(new Event.Stop());
        bench.run(100);
        assertEquals(0, bench.exitCode());
    }

    @Test
    void a_sidecar_whose_pod_is_gone_or_replaced_exits() {
        bench.follow();
        bench.remove(SELF);
        bench.run(100);
        assertEquals(0, bench.exitCode());

        bench = new ElectorBench();
        bench.follow();
        bench.remove(SELF);
        bench.createPod(SELF);
        bench.run(100);
        assertEquals(0, bench.exitCode());
    }

    @Test
    void after_exit_a_deletion_removes_the_label_and_the_lease_is_kept_until_sigterm() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        bench.lead();
        bench.beginDeletion(SELF);
        bench.run(30_000);
        assertEquals("false", bench.pod(SELF).leadership());
        assertEquals(List.of("PATCH web-0 false", "PUT web-0"), bench.asked().stream().distinct().toList());
        bench.turn(new Event.Stop());
        bench.run(100);
        assertEquals("PUT nobody", bench.asked().getLast());
        assertEquals(0, bench.exitCode());
    }

    @Test
    void after_exit_a_label_that_somebody_puts_on_a_terminating_pod_is_removed() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        bench.lead();
        bench.beginDeletion(SELF);
        bench.run(100);
        bench.edit(SELF, "true", "true", "1");
        bench.run(3000);
        assertEquals("false", bench.pod(SELF).leadership());
    }

    // --- Stepping down -----------------------------------------------------------------------------------------------

    @Test
    void an_unready_leader_removes_its_label_after_the_grace_and_releases_the_lease() {
        bench.lead();
        long unready = bench.now();
        bench.setReady(SELF, false);
        bench.run(16_000);
        assertEquals(unready + 15_000 * MS, bench.askedAt("PATCH web-0 false"));
        assertTrue(bench.askedAt("PUT nobody") > bench.askedAt("PATCH web-0 false"));
        assertNull(bench.exitCode());
    }

    @Test
    void the_grace_begins_anew_when_an_unready_pod_wins() {
        bench.follow();
        bench.setReady(SELF, false);
        bench.setReady("web-1", false);
        while (!bench.status().leading()) { // the sidecar of web-1 is dead
            bench.run(100);
        }
        long won = bench.now();
        bench.setReady("web-1", true);
        bench.run(Duration.ofSeconds(20));
        assertTrue(bench.askedAt("PUT nobody") >= won + 14_800 * MS, "it won to be of use");
    }

    @Test
    void an_unready_leader_stays_where_no_other_pod_is_ready() {
        bench.lead();
        bench.setReady("web-1", false);
        bench.setReady(SELF, false);
        bench.run(60_000);
        assertFalse(bench.asked().contains("PUT nobody"));
    }

    @Test
    void an_unready_leader_stays_without_a_grace_and_with_after_exit() {
        for (TestConfig config : List.of(TestConfig.config().unreadyGrace(Duration.ZERO),
                TestConfig.config().handover(Handover.AFTER_EXIT))) {
            bench = new ElectorBench(config.build());
            bench.lead();
            bench.setReady(SELF, false);
            bench.run(60_000);
            assertFalse(bench.asked().contains("PUT nobody"));
        }
    }

    @Test
    void a_lapse_shorter_than_the_grace_changes_nothing() {
        bench.lead();
        bench.setReady(SELF, false);
        bench.run(14_000);
        bench.setReady(SELF, true);
        bench.run(14_000);
        assertFalse(bench.asked().contains("PUT nobody"));
    }

    @Test
    void an_unready_leader_steps_down_again_only_after_another_pod_has_become_ready_and_a_lease_duration_later() {
        bench.lead();
        bench.setReady(SELF, false);
        bench.run(60_000); // the sidecar of web-1 is dead: web-0 leads again
        assertTrue(bench.status().leading());
        assertEquals(1, bench.asked().stream().filter("PUT nobody"::equals).count());
        bench.setReady("web-1", false);
        bench.setReady("web-1", true);
        bench.run(100);
        assertEquals(2, bench.asked().stream().filter("PUT nobody"::equals).count());
    }

    // --- Silence -----------------------------------------------------------------------------------------------------

    @Test
    void a_follower_sends_nothing_while_the_watch_shows_renewals() {
        bench.follow();
        for (int i = 0; i < 20; i++) {
            bench.run(2000);
            bench.takeLease("web-1");
        }
        assertEquals(List.of(), bench.asked());
    }

    @Test
    void a_lease_without_an_event_for_two_renewal_intervals_is_asked_for_once_per_retry_period() {
        bench.follow();
        bench.run(2000);
        bench.takeLease("web-1");
        bench.mark();
        bench.run(3900);
        assertEquals(List.of(), bench.asked());
        bench.run(8100);
        assertEquals(List.of("GET lease"), bench.asked().stream().distinct().toList());
        assertEquals(4, bench.asked().size(), 1.0);
    }

    @Test
    void watches_that_miss_what_a_get_shows_are_restarted() {
        bench.follow();
        bench.run(2000);
        bench.takeLease("web-1"); // so renewals come every two seconds
        bench.silenceWatches();
        bench.run(1);
        bench.takeLease("web-1");
        bench.run(5000);
        assertEquals("GET lease", bench.asked().getFirst());
        assertEquals(List.of(), bench.effects(Effect.RestartWatches.class));
        bench.run(6000);
        assertEquals(1, bench.effects(Effect.RestartWatches.class).size());
    }

    @Test
    void a_live_holder_that_a_silent_watch_hides_is_not_deposed() {
        bench.follow();
        bench.silenceWatches();
        for (int i = 0; i < 20; i++) {
            bench.run(2000);
            bench.takeLease("web-1");
        }
        assertFalse(bench.asked().contains("LIST"));
    }

    // --- Together with client-go -------------------------------------------------------------------------------------

    @Test
    void a_lease_that_a_client_go_program_releases_is_acquired_at_once_and_its_pod_is_fenced() {
        bench = new ElectorBench(TestConfig.config().leadershipLabel("example.com/leader").build());
        bench.createPod("go-0");
        bench.edit("go-0", "true", null, null); // only the Lease tells that this pod belongs to the group
        bench.createPod("web-8");
        bench.edit("web-8", "false", null, null); // a pod of another election with the same leadership label
        bench.takeLeaseAsClientGo("go-0", 15);
        bench.start();
        bench.mark();
        bench.releaseLease();
        bench.run(1000);
        assertEquals(List.of("LIST", "PUT web-0", "PATCH go-0 false", "PATCH web-0 true"), bench.asked());
    }

    @Test
    void the_epoch_of_each_win_is_another() {
        bench.lead();
        String first = bench.status().epoch();
        bench.releaseLease();
        bench.run(5000);
        assertNotEquals(first, bench.status().epoch());
        assertTrue(bench.status().leading());
    }

    @Test
    void a_pod_that_lost_its_key_and_has_finished_is_no_participant() {
        bench.lead();
        bench.hold(request -> request instanceof Effect.GetPod);
        bench.edit("web-1", null, "true", bench.status().epoch());
        bench.finish("web-1");
        bench.hold(request -> false);
        bench.run(1000);
        assertEquals(List.of(ElectorBench.SELF), bench.status().participants(), "nobody would see its removal");
    }

    @Test
    void a_leader_gives_a_pod_that_lost_its_key_the_key_back_though_its_sidecar_is_dead() {
        bench.lead();
        String epoch = bench.status().epoch();
        bench.edit("web-1", null, "true", epoch); // the watch shows that the pod left, at the version that it has now
        bench.run(1000);
        assertEquals("false true " + epoch, bench.keys("web-1"));
    }

    // --- The preferred leader ----------------------------------------------------------------------------------------

    private void prefer(String pod) {
        bench.touchLease("web/preferred-leader", pod);
    }

    @Test
    void the_preferred_leader_is_offered_the_lease_after_the_grace_and_gets_the_label() {
        bench.lead();
        bench.run(15_000);
        bench.mark();
        long named = bench.now();
        prefer("web-1");
        bench.run(14_900);
        assertFalse(bench.asked().contains("PUT nobody"));
        bench.run(200);
        assertEquals(named + 15_000 * MS, bench.askedAt("PUT nobody"), 100 * MS);
        assertEquals("true", bench.pod(SELF).leadership());
        bench.takeLease("web-1");
        bench.edit(SELF, "false", "true", bench.lease().version());
        bench.run(1000);
        assertFalse(bench.asked().contains("PATCH web-0 false"), "the new leader moves the label");
        assertEquals("web-1", bench.status().leader());
    }

    @Test
    void a_leader_takes_back_the_lease_that_the_preferred_one_does_not_acquire_and_keeps_its_label() {
        bench.lead();
        bench.run(15_000);
        bench.mark();
        prefer("web-1"); // whose sidecar is dead
        bench.run(300_000);
        assertEquals(1, bench.asked().stream().filter("PUT nobody"::equals).count());
        assertFalse(bench.asked().contains("PATCH web-0 false"));
        assertTrue(bench.status().leading());
        long offered = bench.askedAt("PUT nobody");
        bench.mark();
        bench.setReady("web-1", false);
        bench.setReady("web-1", true);
        bench.run(16_000);
        assertTrue(bench.askedAt("PUT nobody") > offered, "after it became Ready, it is offered the Lease again");
        bench.run(1500);
        assertTrue(bench.status().leading());
    }

    @Test
    void a_preferred_leader_that_is_unknown_or_cannot_lead_changes_nothing() {
        bench.lead();
        bench.run(15_000);
        bench.mark();
        prefer("web-9");
        bench.run(60_000);
        prefer(SELF);
        bench.run(60_000);
        bench.setReady("web-1", false);
        prefer("web-1");
        bench.run(60_000);
        for (int i = 0; i < 10; i++) {
            bench.setReady("web-1", i % 2 == 0);
            bench.run(14_000);
        }
        assertFalse(bench.asked().contains("PUT nobody"));
        assertTrue(bench.status().leading());
    }

    @Test
    void a_preferred_leader_of_an_older_revision_changes_nothing() {
        bench.createParticipant("web-2");
        bench.label("web-2", "pod-template-hash", "old");
        bench.lead();
        bench.label("web-1", "pod-template-hash", "new");
        prefer("web-2");
        bench.run(60_000);
        assertFalse(bench.asked().contains("PUT nobody"));
    }

    @Test
    void with_after_exit_the_lead_does_not_move_to_a_preferred_leader() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        bench.lead();
        prefer("web-1");
        bench.run(60_000);
        assertFalse(bench.asked().contains("PUT nobody"));
    }

    @Test
    void the_holder_changes_for_a_preferred_leader_at_most_once_per_lease_duration() {
        bench = new ElectorBench(TestConfig.config().unreadyGrace(Duration.ofSeconds(1)).build());
        long begun = bench.now();
        bench.lead();
        prefer("web-1");
        bench.run(30_000);
        assertTrue(bench.askedAt("PUT nobody") >= begun + 15_000 * MS);
    }

    @Test
    void the_preferred_leader_acquires_a_free_lease_before_all_others() {
        bench.follow();
        bench.createParticipant("web-2"); // newer, so it ranks before web-0
        prefer(SELF);
        bench.run(100);
        bench.mark();
        long released = bench.now();
        bench.releaseLease();
        bench.run(100);
        assertEquals(released, bench.askedAt("LIST"));
    }

    @Test
    void others_leave_a_free_lease_to_the_preferred_leader_for_a_retry_period() {
        freeLeaseIsLeftToPreferred();
    }

    @Test
    void with_after_exit_they_do_the_same() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        freeLeaseIsLeftToPreferred();
    }

    private void freeLeaseIsLeftToPreferred() {
        bench.follow();
        bench.createParticipant("web-2");
        prefer("web-2");
        bench.run(100);
        bench.mark();
        long released = bench.now();
        bench.releaseLease();
        bench.run(3000);
        assertEquals(released + 2050 * MS, bench.askedAt("LIST"));
    }

    // --- Scale-down --------------------------------------------------------------------------------------------------

    @Test
    void the_deletion_cost_is_on_the_leader_and_goes_with_its_label() {
        bench.lead();
        assertEquals("100", bench.deletionCost(SELF));
        assertNull(bench.deletionCost("web-1"));
        bench.turn(new Event.Stop());
        bench.run(Duration.ofSeconds(3));
        assertFalse(bench.pod(SELF).isLabelled());
        assertNull(bench.deletionCost(SELF));
    }

    @Test
    void a_new_leader_takes_the_deletion_cost_off_the_pod_that_it_fences() {
        bench.createParticipant("web-1");
        bench.edit("web-1", "true", "true", "1");
        bench.annotate("web-1", Map.of(Config.DELETION_COST, "100", "web/deletion-cost", "100"));
        bench.start();
        assertNull(bench.deletionCost("web-1"));
        assertEquals("100", bench.deletionCost(SELF));
    }

    @Test
    void a_deletion_cost_of_another_program_is_never_touched() {
        bench.createParticipant("web-1");
        bench.annotate("web-1", Map.of(Config.DELETION_COST, "100"));
        bench.annotate(SELF, Map.of(Config.DELETION_COST, "-5"));
        bench.start();
        assertTrue(bench.status().leading());
        assertEquals("-5", bench.deletionCost(SELF));
        assertEquals("100", bench.deletionCost("web-1"));
    }

    @Test
    void without_a_deletion_cost_a_leader_writes_none_and_removes_its_own() {
        bench = new ElectorBench(TestConfig.config().deletionCost(0).build());
        bench.annotate(SELF, Map.of(Config.DELETION_COST, "100", "web/deletion-cost", "100"));
        bench.lead();
        assertNull(bench.deletionCost(SELF));
    }
}
