import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the elector makes known, to probes, metrics and role file, and when: by a clock and a server that do only what the test says. */
class StatusTest {

    private static final String SELF = ElectorBench.SELF;
    private static final Duration RENEW_DEADLINE = Duration.ofSeconds(10);

    private ElectorBench bench;

    @BeforeEach
    void start() {
        bench = new ElectorBench();
        bench.createParticipant("web-1");
    }

    private void lead() {
        bench.start();
        assertTrue(bench.status().leading(), "this test starts with a leader");
    }

    // --- Promotion ---------------------------------------------------------------------------------------------------

    @Test
    void nobody_is_said_to_lead_before_its_label_is_on() {
        lead();
        ElectorBench.Turn promotion = bench.turns().stream().filter(turn -> turn.published() != null && turn.published().leading())
                .findFirst().orElseThrow();
        assertTrue(promotion.event() instanceof Event.Replied replied && replied.reply() instanceof Reply.PodReply is
                && is.pod().name().equals(SELF) && is.pod().isLabelled(), promotion.toString());
    }

    @Test
    void a_leader_whose_label_is_refused_is_not_said_to_lead() {
        bench.hold(request -> request instanceof Effect.PatchPod patch && "true".equals(patch.leadership()));
        bench.start();
        assertEquals(SELF, bench.status().leader(), "it holds the Lease");
        assertFalse(bench.status().leading());
        assertEquals("0", bench.status().epoch());
    }

    @Test
    void the_epoch_is_the_version_by_which_the_lease_was_won() {
        lead();
        assertEquals(bench.pod(SELF).epoch(), bench.status().epoch());
        bench.run(Duration.ofSeconds(20));
        assertEquals(bench.pod(SELF).epoch(), bench.status().epoch(), "renewals do not change it");
        assertNotEquals(bench.lease().version(), bench.status().epoch());
    }

    // --- The end of a lead -------------------------------------------------------------------------------------------

    @Test
    void a_planned_hand_over_is_made_known_before_the_lease_is_offered() {
        lead();
        ElectorBench.Turn stop = bench.turn(new Event.Stop());
        int offer = stop.indexOf(effect -> effect instanceof Effect.PutLease put && put.lease().holder().isEmpty());
        int demotion = stop.indexOf(effect -> effect instanceof Effect.Publish publish && !publish.status().leading());
        assertTrue(offer >= 0 && demotion >= 0 && demotion < offer, stop.toString());
    }

    @Test
    void after_exit_a_deletion_is_made_known_before_the_label_is_taken_off() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        lead();
        ElectorBench.Turn deletion = bench.beginDeletion(SELF);
        int off = deletion.indexOf(effect -> effect instanceof Effect.PatchPod patch && "false".equals(patch.leadership()));
        int demotion = deletion.indexOf(effect -> effect instanceof Effect.Publish publish && !publish.status().leading());
        assertTrue(off >= 0 && demotion >= 0 && demotion < off, deletion.toString());
    }

    @Test
    void in_every_turn_the_state_goes_out_before_any_request() {
        lead();
        bench.edit("web-1", "true", "true", "5");
        bench.run(Duration.ofSeconds(5));
        bench.takeLease("web-1");
        bench.run(Duration.ofSeconds(30));
        bench.turn(new Event.Stop());
        bench.run(Duration.ofSeconds(5));
        List<ElectorBench.Turn> late = bench.turns().stream().filter(turn -> turn.published() != null)
                .filter(turn -> !(turn.effects().getFirst() instanceof Effect.Publish)).toList();
        assertEquals(List.of(), late);
    }

    @Test
    void a_lead_that_cannot_be_renewed_ends_at_the_deadline_by_the_own_clock() {
        lead();
        bench.hold(request -> true);
        long renewed = bench.status().statistics().renewedAt();
        bench.run(Duration.ofSeconds(30));

        ElectorBench.Turn end = bench.turns().stream().dropWhile(turn -> turn.published() == null || !turn.published().leading())
                .filter(turn -> turn.published() != null && !turn.published().leading()).findFirst().orElseThrow();
        assertEquals(RENEW_DEADLINE, Duration.ofNanos(end.now() - renewed));
        assertEquals("0", end.published().epoch());
        assertEquals("true", bench.pod(SELF).leadership(), "the label stays until somebody else takes it");
    }

    @Test
    void a_lead_may_not_be_believed_past_its_deadline_even_if_the_elector_sleeps() {
        lead();
        Status status = bench.status();
        long deadline = status.statistics().renewedAt() + RENEW_DEADLINE.toNanos();
        assertEquals(deadline, status.leadsUntil());
        assertTrue(status.isLeading(deadline - 1));
        assertFalse(status.isLeading(deadline));
    }

    @Test
    void a_renewal_after_the_deadline_is_made_known() {
        lead();
        bench.hold(request -> true);
        bench.run(Duration.ofSeconds(11));
        assertFalse(bench.status().leading());
        bench.hold(request -> false);
        bench.run(Duration.ofSeconds(3));
        assertTrue(bench.status().leading(), "nobody else took the Lease");
    }

    @Test
    void the_end_at_the_deadline_and_the_return_are_one_line_each() {
        lead();
        int before = bench.turns().size();
        bench.hold(request -> true);
        bench.run(Duration.ofSeconds(14));
        bench.hold(request -> false);
        bench.run(Duration.ofSeconds(14));
        List<String> lines = bench.turns().stream().skip(before).flatMap(turn -> turn.effects().stream())
                .filter(Effect.Log.class::isInstance).map(effect -> ((Effect.Log) effect).line()).toList();
        assertEquals(2, lines.size(), lines.toString());
        assertTrue(lines.getFirst().contains("renew-deadline") && lines.getLast().contains("again"), lines.toString());
        assertTrue(lines.stream().allMatch(line -> line.contains("epoch=" + bench.status().epoch())), lines.toString());
    }

    @Test
    void the_fence_ends_a_lead_at_once() {
        lead();
        ElectorBench.Turn fence = bench.edit(SELF, "false", "true", "999999");
        assertTrue(fence.published() != null && !fence.published().leading(), fence.toString());
    }

    @Test
    void another_holder_ends_a_lead_at_once() {
        lead();
        ElectorBench.Turn taken = bench.takeLease("web-1");
        assertTrue(taken.published() != null && !taken.published().leading(), taken.toString());
        assertEquals("web-1", taken.published().leader());
    }

    // --- Readiness ---------------------------------------------------------------------------------------------------

    @Test
    void nobody_is_registered_before_the_first_patch_is_confirmed() {
        bench.hold(request -> request instanceof Effect.PatchPod);
        bench.start();
        assertFalse(bench.status().registered());
        bench.hold(request -> false);
        bench.run(Duration.ofSeconds(1));
        assertTrue(bench.status().registered());
    }

    @Test
    void who_is_registered_stays_so_whatever_happens_to_its_labels() {
        lead();
        bench.hold(request -> true);
        assertTrue(bench.edit(SELF, null, null, null).published().registered());
        bench.run(Duration.ofSeconds(60));
        assertTrue(bench.status().registered());
    }

    // --- Statistics -----------------------------------------------------------------------------------------------------

    @Test
    void nothing_is_made_known_twice() {
        lead();
        bench.run(Duration.ofSeconds(30));
        List<Status> published = bench.turns().stream().map(ElectorBench.Turn::published).filter(status -> status != null).toList();
        for (int i = 1; i < published.size(); i++) {
            assertNotEquals(published.get(i - 1), published.get(i));
        }
    }

    @Test
    void the_labels_of_a_new_participant_are_no_drift() {
        lead();
        bench.createParticipant("web-2");
        bench.run(Duration.ofSeconds(3));
        assertEquals(bench.status().epoch(), bench.pod("web-2").epoch());
        assertEquals(0, bench.status().statistics().healed());
    }

    @Test
    void what_somebody_else_did_is_drift() {
        lead();
        bench.edit("web-1", "true", "true", bench.status().epoch());
        bench.run(Duration.ofSeconds(3));
        bench.edit(SELF, "false", "true", bench.status().epoch());
        bench.run(Duration.ofSeconds(3));
        assertEquals(List.of("false", "true"), List.of(bench.pod("web-1").leadership(), bench.pod(SELF).leadership()));
        assertEquals(2, bench.status().statistics().healed());
    }

    @Test
    void taking_the_own_label_off_is_no_drift() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        lead();
        bench.beginDeletion(SELF);
        bench.run(Duration.ofSeconds(3));
        assertEquals("false", bench.pod(SELF).leadership());
        assertEquals(0, bench.status().statistics().healed());
    }

    @Test
    void pod_writes_are_counted_by_their_results() {
        lead();
        Map<String, Long> before = bench.status().statistics().patches();
        bench.hold(request -> request instanceof Effect.PatchPod);
        bench.edit("web-1", "true", "true", "5");
        bench.run(Duration.ofSeconds(1));
        bench.edit("web-1", "true", "no", "5"); // the write that is under way rests on the version before
        bench.hold(request -> false);
        bench.run(Duration.ofSeconds(3));
        Map<String, Long> after = bench.status().statistics().patches();
        assertEquals(before.getOrDefault("conflict", 0L) + 1, after.get("conflict"), after.toString());
        assertTrue(after.get("ok") > before.get("ok"), after.toString());
    }

    @Test
    void a_take_over_is_measured_from_the_expiry_of_the_lease() {
        bench.takeLease("gone-0");
        bench.start();
        bench.run(Duration.ofSeconds(20));
        assertTrue(bench.status().leading());
        Duration takeover = Duration.ofNanos(bench.status().statistics().takeover());
        assertTrue(takeover.isPositive() && takeover.toMillis() < 500, takeover.toString());
        assertEquals(0, bench.status().statistics().handover());
    }
}
