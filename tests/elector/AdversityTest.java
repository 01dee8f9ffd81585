import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.slf4j.event.Level;

/** What other programs, proxies, webhooks and backups do to an election, each in its smallest form, and what the elector makes of it. */
class AdversityTest {

    private static final String SELF = ElectorBench.SELF;

    private ElectorBench bench = new ElectorBench();

    private static boolean isGet(Effect.Request request, String pod) {
        return request instanceof Effect.GetPod get && get.name().equals(pod);
    }

    private String logged(Level level) {
        return String.join("\n", bench.effects(Effect.Log.class).stream().filter(log -> log.level() == level).map(Effect.Log::line).toList());
    }

    // --- The order of answers ----------------------------------------------------------------------------------------

    @Test
    void a_404_that_is_older_than_the_latest_observation_of_a_pod_removes_nothing() {
        bench.lead();
        bench.hold(request -> isGet(request, "web-1"));
        bench.edit("web-1", null, "true", "0"); // it leaves the watched group
        Effect.GetPod get = bench.open(Effect.GetPod.class);
        bench.remove("web-1");
        bench.createParticipant("web-1");
        bench.turn(new Event.Replied(get, new Reply.NotFound()));
        assertEquals(List.of(SELF, "web-1"), bench.status().participants());
    }

    @Test
    void a_404_that_is_older_than_the_latest_observation_of_the_lease_is_asked_for_again() {
        bench.createParticipant("web-1");
        bench.hold(Effect.GetLease.class::isInstance);
        bench.turn(new Event.Tick());
        Effect.GetLease get = bench.open(Effect.GetLease.class);
        bench.takeLease("web-1");
        bench.openWatches();
        bench.turn(new Event.Replied(get, new Reply.NotFound()));
        assertEquals("web-1", bench.status().leader());
        bench.hold(request -> false);
        bench.run(Duration.ofSeconds(10));
        assertEquals(List.of(), bench.effects(Effect.CreateLease.class));
    }

    @Test
    void a_get_that_was_answered_before_a_deletion_does_not_bring_the_pod_back() {
        bench.lead();
        Pod before = bench.pod("web-1");
        bench.hold(request -> isGet(request, "web-1") || ElectorBench.isPatch(request, "web-1"));
        bench.edit("web-1", "x", "true", "1");
        bench.run(100);
        bench.remove("web-1");
        bench.turn(new Event.Replied(bench.open(Effect.PatchPod.class), new Reply.PodReply(before)));
        assertEquals(List.of(SELF), bench.status().participants());
    }

    // --- The Lease ---------------------------------------------------------------------------------------------------

    @Test
    void lease_transitions_begin_again_after_the_largest_number() {
        bench.follow();
        bench.takeLeaseAsClientGo("somebody", 1, Integer.MAX_VALUE);
        bench.run(Duration.ofSeconds(5));
        assertEquals(SELF, bench.lease().holder());
        assertEquals(0, bench.lease().transitions());
    }

    @Test
    void a_lease_whose_metadata_is_touched_expires_all_the_same() {
        bench.follow();
        for (int second = 0; second < 17; second++) {
            bench.run(1000);
            bench.touchLease("note", "touched " + second);
        }
        bench.run(100);
        assertTrue(bench.status().leading());
    }

    @Test
    void a_lease_that_somebody_touches_again_and_again_is_warned_of_instead_of_logging_each_win() {
        bench.lead();
        for (int second = 0; second < 59; second++) {
            bench.run(1000);
            bench.touchLease("note", "touched " + second);
        }
        bench.run(100);
        assertTrue(bench.status().leading());
        assertEquals(2, bench.effects(Effect.Log.class).size(), "the first time alone: " + bench.effects(Effect.Log.class));
        assertEquals(1, bench.effects(Effect.WarnOfContention.class).size());
    }

    @Test
    void a_leader_whose_claim_is_stripped_leads_says_so_and_releases_the_lease() {
        bench.createParticipant("web-1");
        bench.rewriteLeases((spec, annotations) -> annotations.remove("web/holder"));
        leadsSaysSoAndReleases("the annotation web/holder");
    }

    @Test
    void a_leader_whose_times_are_rewritten_leads_says_so_and_releases_the_lease() {
        bench.createParticipant("web-1");
        bench.rewriteLeases((spec, annotations) -> {
            spec.put("acquireTime", "2030-01-01T00:00:00.000000Z");
            spec.put("renewTime", "2030-01-01T00:00:00.000000Z");
        });
        leadsSaysSoAndReleases("acquireTime");
    }

    private void leadsSaysSoAndReleases(String rewritten) {
        bench.start();
        String epoch = bench.status().epoch();
        bench.run(Duration.ofSeconds(40));
        assertTrue(bench.status().leading());
        assertEquals(epoch, bench.status().epoch(), "one win, renewed");
        assertTrue(logged(Level.WARN).contains("rewrites " + rewritten + " of the Lease web;"), logged(Level.WARN));
        bench.turn(new Event.Stop());
        bench.run(1000);
        assertFalse(bench.lease().isHeld());
    }

    @Test
    void a_renewal_that_the_watch_shows_with_another_time_before_the_answer_is_the_own() {
        bench.lead();
        String epoch = bench.status().epoch();
        bench.rewriteLeases((spec, annotations) -> spec.put("renewTime", "2030-01-01T00:00:00.000000Z"));
        bench.hold(Effect.PutLease.class::isInstance);
        bench.run(2000);
        Effect.PutLease renewal = bench.open(Effect.PutLease.class);
        bench.execute(renewal);
        bench.turn(new Event.LeaseUpdated(bench.lease()));
        bench.turn(new Event.Replied(renewal, new Reply.LeaseReply(bench.lease(), false)));
        bench.run(1000);
        assertTrue(bench.status().leading());
        assertEquals(epoch, bench.status().epoch());
    }

    @Test
    void a_renewal_that_makes_no_new_version_is_none() {
        bench.lead();
        bench.rewriteLeases((spec, annotations) -> {
            spec.put("renewTime", "2030-01-01T00:00:00.000000Z");
            annotations.remove("web/holder");
        });
        bench.run(Duration.ofSeconds(13));
        assertFalse(bench.status().leading(), "the API server stored the first of them");
        assertTrue(logged(Level.WARN).contains("writes to the Lease have no effect"), logged(Level.WARN));
    }

    @Test
    void a_holder_whose_times_a_webhook_keeps_constant_renews_the_lease_by_its_annotation() {
        bench.follow();
        for (int second = 0; second < 60; second += 2) {
            bench.run(2000);
            bench.touchLease("web/holder", new Claim("web-1", bench.pod("web-1").uid(), bench.wall(), bench.wall()).toString());
        }
        assertFalse(bench.asked().contains("LIST"), bench.asked().toString());
    }

    @Test
    void a_leader_whose_release_is_refused_takes_its_label_off_before_it_ends() {
        bench.lead();
        refuseReleases();
        bench.turn(new Event.Stop());
        bench.run(Duration.ofSeconds(5));
        assertEquals(0, bench.exitCode());
        assertEquals("false", bench.pod(SELF).leadership());
    }

    @Test
    void a_leader_whose_release_is_refused_leads_again_unless_another_acquires_the_expired_lease() {
        bench.lead();
        bench.touchLease("web/preferred-leader", "web-1"); // whose sidecar is dead
        refuseReleases();
        bench.run(Duration.ofSeconds(20));
        long refusedAt = bench.askedAt("PUT nobody");
        bench.mark();
        bench.run(Duration.ofSeconds(20));
        assertTrue(bench.status().leading());
        Duration waited = Duration.ofNanos(bench.askedAt("PUT web-0") - refusedAt);
        assertTrue(waited.compareTo(Duration.ofSeconds(17)) >= 0, "the others had two retry-periods, but it has waited " + waited);
    }

    private void refuseReleases() {
        bench.answer(request -> request instanceof Effect.PutLease put && !put.lease().isHeld() ? new Reply.Failed("422", 0) : null);
    }

    @Test
    void a_second_process_for_the_same_pod_is_warned_of_and_left_alone() {
        bench.follow();
        bench.takeLease(SELF); // with the uid of this pod, but not by this process
        bench.run(Duration.ofSeconds(10));
        bench.takeLease(SELF);
        bench.run(Duration.ofSeconds(10));
        assertEquals(List.of(), bench.effects(Effect.PutLease.class));
        assertEquals(1, bench.effects(Effect.Log.class).size(), "once a minute");
        assertTrue(logged(Level.WARN).contains("a claim that this process did not make"), logged(Level.WARN));
    }

    @Test
    void a_second_process_for_the_same_pod_is_told_by_its_claim_where_a_webhook_gives_all_leases_the_same_times() {
        Instant same = Instant.parse("2030-01-01T00:00:00Z");
        bench.rewriteLeases((spec, annotations) -> {
            spec.put("acquireTime", "2030-01-01T00:00:00.000000Z");
            spec.put("renewTime", "2030-01-01T00:00:00.000000Z");
        });
        bench.lead();
        bench.writeBack(new Claim(SELF, bench.pod(SELF).uid(), same, same));
        bench.run(Duration.ofSeconds(10));
        assertFalse(bench.asked().contains("PUT web-0"), bench.asked().toString());
    }

    @Test
    void a_lease_that_is_emptied_too_seldom_to_spend_the_budget_is_contention_as_well() {
        bench.lead();
        for (int second = 0; second < 118; second += 2) {
            bench.run(Duration.ofSeconds(2));
            bench.releaseLease();
        }
        List<String> lines = bench.effects(Effect.Log.class).stream().map(Effect.Log::line).filter(line -> line.contains("lead")).toList();
        assertTrue(lines.size() <= 25, lines.size() + " lines in two minutes: " + lines);
        assertTrue(bench.effects(Effect.WarnOfContention.class).size() >= 1);
    }

    @Test
    void a_lease_that_is_deleted_again_and_again_costs_a_bounded_number_of_requests() {
        bench.lead();
        for (int i = 0; i < 600; i++) {
            bench.run(100);
            bench.deleteLease();
        }
        long writes = bench.effects(Effect.Request.class).stream().filter(r -> Requests.target(r).equals(Requests.LEASE)).count();
        assertTrue(writes <= 30 + 2 * 30 + 2, writes + " requests for the Lease in a minute");
        bench.run(Duration.ofSeconds(5));
        assertTrue(bench.status().leading(), "and there is a leader as soon as that ends");
    }

    // --- History ----------------------------------------------------------------------------------------------------

    @Test
    void a_leader_starts_anew_when_etcd_was_restored() {
        bench.lead();
        Store.Backup backup = bench.backUp();
        bench.run(Duration.ofMinutes(1));
        String before = bench.lease().version();
        bench.restore(backup);
        assertTrue(ResourceVersion.isNewer(before, bench.lease().version()), "versions went back");
        bench.run(Duration.ofSeconds(5));
        assertEquals(1, bench.effects(Effect.RestartWatches.class).size());
        bench.openWatches();
        bench.run(Duration.ofSeconds(5));
        assertTrue(bench.status().leading());
        assertTrue(logged(Level.WARN).contains("etcd was restored"), logged(Level.WARN));
    }

    @Test
    void a_follower_finds_out_that_etcd_was_restored_when_its_watch_begins_again() {
        bench.follow();
        Store.Backup backup = bench.backUp();
        for (int i = 0; i < 20; i++) {
            bench.edit("web-1", "false", "true", Integer.toString(i));
            bench.takeLease("web-1");
        }
        bench.restore(backup);
        bench.openWatches();
        bench.run(1000);
        assertEquals(1, bench.effects(Effect.RestartWatches.class).size());
        assertEquals("web-1", bench.status().leader());
    }

    // --- Pods --------------------------------------------------------------------------------------------------------

    @Test
    void a_pod_that_refuses_its_fence_blocks_the_promotion_until_it_changes() {
        bench.createParticipant("web-1");
        bench.answer(request -> ElectorBench.isPatch(request, "web-1") ? new Reply.Failed("403 denied", 0) : null);
        bench.start();
        assertFalse(bench.pod(SELF).isLabelled());
        assertTrue(logged(Level.WARN).contains("promotion waits for the fence of pod web-1 answer=\"403 denied\""), logged(Level.WARN));
        bench.setReady("web-1", false);
        bench.run(1000);
        assertTrue(bench.pod(SELF).isLabelled());
    }

    @Test
    void a_pod_that_is_labelled_blocks_the_promotion_even_if_it_changes() {
        bench.createParticipant("web-1");
        bench.edit("web-1", "true", "true", "1");
        bench.answer(request -> ElectorBench.isPatch(request, "web-1") ? new Reply.Failed("403 denied", 0) : null);
        bench.start();
        bench.setReady("web-1", false);
        bench.run(1000);
        assertFalse(bench.pod(SELF).isLabelled());
    }

    // --- Busy pods ---------------------------------------------------------------------------------------------------

    /** The pod changes before each attempt to label it; once it is announced, while each renewal is under way. */
    @Test
    void a_leader_whose_pod_changes_all_the_time_announces_that_it_will_label_it_and_then_does() {
        bench.lead();
        bench.answer(request -> {
            boolean isAnnounced = bench.pod(SELF).isAnnounced();
            if (isAnnounced ? request instanceof Effect.PutLease : ElectorBench.isPatch(request, SELF)
                    && "true".equals(((Effect.PatchPod) request).leadership())) {
                bench.annotate(SELF, Map.of("note", "busy " + request.sequence()));
            }
            return null;
        });
        bench.edit(SELF, "false", "true", "0");
        bench.run(1000);
        assertTrue(bench.pod(SELF).isLabelled(), bench.asked().toString());
    }

    /** No version of the pod is older than a renewal, so the label is not even tried, and meets no conflict, until it is announced. */
    @Test
    void a_leader_whose_pod_changes_in_step_with_its_renewals_announces_that_it_will_label_it_and_then_does() {
        bench.lead();
        bench.answer(request -> {
            if (request instanceof Effect.PutLease) {
                bench.annotate(SELF, Map.of("note", "busy " + request.sequence()));
            }
            return null;
        });
        bench.edit(SELF, "false", "true", "0");
        bench.run(1000);
        assertTrue(bench.pod(SELF).isLabelled(), bench.asked().toString());
    }

    @Test
    void a_leader_that_may_not_announce_anything_labels_its_pod_when_that_is_calm_again() {
        loseTheLabelWhereAnnouncementsAreRefused(2);
        bench.run(10);
        bench.annotate(SELF, Map.of("note", "busy"));
        bench.run(5000);
        assertTrue(bench.pod(SELF).isLabelled(), bench.asked().toString());
    }

    @Test
    void a_leader_that_may_not_announce_anything_tries_to_label_its_pod_also_while_that_is_busy() {
        loseTheLabelWhereAnnouncementsAreRefused(3);
        for (int i = 0; i < 100 && !bench.pod(SELF).isLabelled(); i++) {
            bench.annotate(SELF, Map.of("note", "busy " + i));
            bench.run(50);
        }
        assertTrue(bench.pod(SELF).isLabelled(), bench.asked().toString());
    }

    /** Somebody takes the leader's label off; so many of its other writes to pods then meet a conflict. */
    private void loseTheLabelWhereAnnouncementsAreRefused(int conflicts) {
        bench.lead();
        int[] writes = {0};
        bench.answer(request -> !(request instanceof Effect.PatchPod patch) ? null
                : patch.epoch().endsWith(" announced") ? new Reply.Failed("403 an epoch is a number", 0)
                : ++writes[0] <= conflicts ? new Reply.Conflict() : null);
        bench.edit(SELF, "false", "true", "0");
    }

    @Test
    void an_announced_pod_that_has_only_changed_since_the_renewal_may_be_labelled() {
        assertTrue(labelsItsAnnouncedPodAfter(() -> bench.annotate(SELF, Map.of("note", "busy"))));
    }

    @Test
    void an_announcement_that_was_taken_away_and_put_back_does_not_count() {
        assertFalse(labelsItsAnnouncedPodAfter(() -> {
            String announcement = bench.pod(SELF).epoch();
            bench.edit(SELF, "false", "true", "1000"); // another leader fences it
            bench.edit(SELF, "false", "true", announcement);
        }));
    }

    @Test
    void an_announcement_does_not_count_that_the_watch_may_have_lost_meanwhile() {
        assertFalse(labelsItsAnnouncedPodAfter(() -> {
            bench.silenceWatches();
            bench.annotate(SELF, Map.of("note", "busy"));
            bench.openWatches();
            bench.annotate(SELF, Map.of("note", "busy again"));
        }));
        assertFalse(labelsItsAnnouncedPodAfter(() -> {
            String announcement = bench.pod(SELF).epoch();
            bench.edit(SELF, null, "true", announcement); // without its key no watch shows it
            bench.edit(SELF, "false", "true", announcement);
        }));
    }

    @Test
    void an_announcement_counts_only_as_far_as_the_watch_has_shown_it() {
        assertFalse(labelsItsAnnouncedPodAfter(() -> {
            bench.silenceWatches();
            bench.annotate(SELF, Map.of("note", "busy"));
            bench.turn(new Event.Replied(new Effect.GetPod(Long.MAX_VALUE, SELF, null), new Reply.PodReply(bench.pod(SELF))));
        }));
    }

    @Test
    void an_announcement_that_is_younger_than_the_renewal_does_not_count() {
        bench.lead();
        String epoch = bench.status().epoch();
        bench.hold(Effect.PutLease.class::isInstance);
        bench.edit(SELF, "false", "true", Pod.announcement("1")); // of another lead
        assertFalse(labelsItsPodAfterRenewal(() -> bench.edit(SELF, "false", "true", Pod.announcement(epoch))));
    }

    private boolean labelsItsAnnouncedPodAfter(Runnable change) {
        bench = new ElectorBench();
        bench.lead();
        bench.hold(Effect.PutLease.class::isInstance);
        bench.edit(SELF, "false", "true", Pod.announcement(bench.status().epoch()));
        return labelsItsPodAfterRenewal(change);
    }

    /** Whether the leader labels its pod without a second renewal if this happens between the request and the answer of the first. */
    private boolean labelsItsPodAfterRenewal(Runnable change) {
        Effect.PutLease renewal = bench.open(Effect.PutLease.class);
        bench.answer(request -> {
            if (request == renewal) {
                change.run();
            }
            return null;
        });
        bench.hold(request -> request instanceof Effect.PutLease && request != renewal);
        bench.mark();
        bench.run(1000);
        return bench.asked().contains("PATCH web-0 true");
    }

    /** The pod changes while each renewal is under way, so none is younger than the newest version of the pod. */
    @Test
    void a_labelled_pod_whose_sidecar_is_dead_is_fenced_even_if_it_changes_all_the_time() {
        bench.createParticipant("web-1");
        bench.edit("web-1", "true", "true", "1");
        boolean[] met = {false};
        bench.answer(request -> {
            boolean isFirst = ElectorBench.isPatch(request, "web-1") && !met[0];
            if (request instanceof Effect.PutLease || isFirst) {
                met[0] |= isFirst;
                bench.annotate("web-1", Map.of("note", "busy " + request.sequence()));
            }
            return null;
        });
        bench.start();
        bench.run(1000);
        assertTrue(bench.pod(SELF).isLabelled(), bench.asked().toString());
        assertFalse(bench.pod("web-1").isLabelled());
        assertEquals("", logged(Level.WARN), "a conflict is no reason to grant a right");
    }

    /** The former leader does not know the Lease's latest state, and must not fight the new one. */
    @Test
    void a_label_that_a_later_leader_has_set_is_not_taken_off_even_if_a_policy_keeps_its_epoch_from_the_pod() {
        bench.lead();
        bench.edit("web-1", "false", "true", "0");
        bench.run(5000);
        bench.hold(request -> request instanceof Effect.PutLease || request instanceof Effect.GetLease);
        bench.mark();
        bench.edit("web-1", "true", "true", bench.pod("web-1").epoch());
        bench.run(1000);
        assertEquals(List.of("PUT web-0"), bench.asked());
        assertTrue(bench.pod("web-1").isLabelled());
    }

    @Test
    void an_announced_pod_blocks_the_promotion_even_if_it_changes() {
        bench.createParticipant("web-1");
        bench.edit("web-1", "false", "true", Pod.announcement("1"));
        bench.answer(request -> ElectorBench.isPatch(request, "web-1") ? new Reply.Failed("403 denied", 0) : null);
        bench.start();
        bench.setReady("web-1", false);
        bench.run(1000);
        assertFalse(bench.pod(SELF).isLabelled());
    }

    @Test
    void a_follower_withdraws_its_announcement() {
        bench.follow();
        bench.edit(SELF, "false", "true", Pod.announcement("1"));
        bench.run(100);
        assertTrue(bench.keys(SELF).startsWith("false true 0@"), bench.keys(SELF));
    }

    @Test
    void a_follower_that_is_labelled_and_announced_keeps_the_label_until_it_is_fenced() {
        bench.follow();
        bench.edit(SELF, "true", "true", Pod.announcement("1"));
        bench.run(100);
        assertTrue(bench.pod(SELF).isLabelled());
    }

    @Test
    void a_leader_that_is_told_to_go_withdraws_its_announcement_at_once() {
        bench.lead();
        bench.hold(Effect.PutLease.class::isInstance);
        bench.edit(SELF, "false", "true", Pod.announcement(bench.status().epoch()));
        bench.turn(new Event.Stop());
        bench.hold(request -> false);
        bench.run(1000);
        assertEquals(0, bench.exitCode(), bench.asked().toString());
        assertTrue(bench.keys(SELF).startsWith("false true 0@"), bench.keys(SELF));
    }

    /** Its last renewal is executed after SIGTERM, and no release gets through before the lease has expired. */
    @Test
    void a_leader_that_cannot_release_the_lease_takes_its_label_off_though_its_own_renewal_came_late() {
        bench = new ElectorBench(TestConfig.config().timing(Duration.ofSeconds(2), Duration.ofMillis(1500), Duration.ofSeconds(1)).build());
        bench.lead();
        bench.hold(Effect.PutLease.class::isInstance);
        bench.run(1100); // the renewal is sent
        bench.turn(new Event.Stop());
        bench.run(1);
        bench.answer(request -> request instanceof Effect.PutLease put && !put.lease().isHeld() ? new Reply.NotSent() : null);
        bench.hold(request -> false);
        bench.run(100);
        bench.touchLease("note", "touched");
        bench.run(2800); // less than it waits for the fence of a new holder
        assertFalse(bench.pod(SELF).isLabelled(), bench.asked().toString());
    }

    // --- Pods that cannot be labelled --------------------------------------------------------------------------------

    @Test
    void a_leader_that_lost_its_label_while_a_follower_refuses_patches_releases_the_lease() {
        bench.lead();
        bench.answer(request -> request instanceof Effect.PatchPod ? new Reply.Failed("403 denied", 0) : null);
        bench.edit("web-1", "x", "true", "0");
        bench.edit(SELF, "false", "true", "0");
        bench.run(Duration.ofSeconds(17));
        assertFalse(bench.lease().isHeld());
        String error = logged(Level.ERROR);
        assertTrue(error.startsWith("released lease reason=not-labelled after=15s pod=") && error.contains("answer=\"403 denied\""), error);
    }

    @Test
    void a_leader_that_could_neither_be_labelled_nor_release_the_lease_has_a_lease_duration_for_the_label_when_it_wins_anew() {
        bench.lead();
        bench.answer(request -> request instanceof Effect.PatchPod || request instanceof Effect.PutLease put && !put.lease().isHeld()
                ? new Reply.Failed("403 denied", 0) : null);
        bench.edit(SELF, "false", "true", "0");
        bench.run(Duration.ofSeconds(17));
        assertFalse(bench.status().leading());
        refuseReleases(); // and patches no longer
        bench.run(Duration.ofSeconds(50));
        assertTrue(bench.status().leading(), bench.asked().toString());
        assertEquals(1, bench.effects(Effect.Log.class).stream().filter(log -> log.line().startsWith("released lease")).count());
    }

    @Test
    void a_leader_that_had_no_time_to_run_when_its_label_was_taken_off_puts_it_back() {
        bench.lead();
        bench.hold(Effect.PatchPod.class::isInstance);
        bench.edit(SELF, "false", "true", "0");
        bench.pass(Duration.ofSeconds(24));
        bench.hold(request -> false);
        bench.run(1000);
        assertTrue(bench.status().leading(), bench.asked().toString());
    }

    @Test
    void conflicts_are_tried_again_after_a_pause_that_does_not_grow() {
        bench.lead();
        bench.answer(request -> ElectorBench.isPatch(request, SELF) ? new Reply.Conflict() : null);
        bench.edit(SELF, "false", "true", "0");
        bench.run(1000);
        assertTrue(bench.effects(Effect.PatchPod.class).size() >= 10, bench.asked().toString());
    }

    @Test
    void a_write_that_changes_nothing_is_a_failure_and_backs_off() {
        bench.createParticipant("web-1");
        bench.answer(request -> ElectorBench.isPatch(request, SELF) ? new Reply.PodReply(bench.pod(SELF)) : null);
        bench.start();
        assertTrue(logged(Level.WARN).contains("writes to pod web-0 have no effect"), logged(Level.WARN));
        assertTrue(bench.effects(Effect.PatchPod.class).size() < 10, bench.asked().toString());
    }

    @Test
    void labels_that_are_undone_each_time_cost_a_bounded_number_of_requests() {
        bench.lead();
        for (int i = 0; i < 600; i++) {
            bench.run(100);
            bench.edit("web-1", "x", "true", "1");
        }
        long writes = bench.effects(Effect.Request.class).stream().filter(r -> Requests.target(r).equals("web-1")).count();
        assertTrue(writes <= 30 + 2 * 30 + 2, writes + " requests for the pod in a minute");
        List<Effect.WarnOfContention> warnings = bench.effects(Effect.WarnOfContention.class);
        assertEquals(1, warnings.stream().filter(w -> "web-1".equals(w.pod())).count(), warnings.toString());
    }

    // --- The own pod -------------------------------------------------------------------------------------------------

    @Test
    void a_process_whose_pod_was_replaced_before_it_started_ends_and_writes_nothing() {
        bench = new ElectorBench(TestConfig.config().podUid("the-uid-of-the-pod-before").build());
        bench.start();
        assertEquals(1, bench.exitCode());
        assertEquals(List.of("GET web-0"), bench.asked().stream().filter(a -> !a.equals("GET lease")).toList());
        Effect.Exit exit = bench.effects(Effect.Exit.class).getFirst();
        assertTrue(exit.why().contains("belongs to a pod of uid the-uid-of-the-pod-before"), exit.why());
    }

    @Test
    void a_leader_that_becomes_ready_before_it_has_released_the_lease_stays() {
        bench.lead();
        bench.setReady(SELF, false);
        bench.hold(request -> ElectorBench.isPatch(request, SELF));
        bench.run(Duration.ofMillis(15_001)); // the grace is over, and the label is about to go
        bench.setReady(SELF, true);
        bench.hold(request -> false);
        bench.run(1000);
        assertTrue(bench.status().leading());
        assertFalse(bench.asked().contains("PUT nobody"), bench.asked().toString());
    }

    // --- Revisions ---------------------------------------------------------------------------------------------------

    @Test
    void a_pod_of_an_older_revision_leaves_a_free_lease_to_the_newer_one_for_a_retry_period() {
        bench.label(SELF, "pod-template-hash", "old");
        bench.createParticipant("web-1");
        bench.label("web-1", "pod-template-hash", "new");
        bench.takeLeaseAsClientGo("somebody", 3600, 1);
        bench.start();
        bench.mark();
        bench.releaseLease();
        bench.run(1900);
        assertEquals(List.of(), bench.asked());
        bench.run(300);
        assertEquals(SELF, bench.lease().holder());
    }

    @Test
    void after_exit_a_lease_that_somebody_touches_is_won_anew_and_kept_until_sigterm() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        bench.lead();
        bench.beginDeletion(SELF);
        bench.run(100);
        bench.touchLease("note", "touched");
        bench.run(Duration.ofSeconds(30));
        assertFalse(bench.asked().contains("PUT nobody"), bench.asked().toString());
        assertEquals("false", bench.pod(SELF).leadership());
        bench.turn(new Event.Stop());
        bench.run(100);
        assertFalse(bench.lease().isHeld());
        assertEquals(0, bench.exitCode());
    }

    @Test
    void after_exit_a_restarted_container_of_a_terminating_leader_keeps_the_lease_until_sigterm() {
        bench = new ElectorBench(TestConfig.config().handover(Handover.AFTER_EXIT).build());
        bench.createParticipant("web-1");
        bench.edit(SELF, "true", "true", "7");
        bench.takeLease(SELF); // by the container before
        bench.beginDeletion(SELF);
        bench.start();
        bench.run(Duration.ofSeconds(30));
        assertEquals("false", bench.pod(SELF).leadership());
        assertFalse(bench.asked().contains("PUT nobody"), bench.asked().toString());
    }

    @Test
    void a_leader_that_cannot_be_labelled_releases_the_lease_also_where_somebody_touches_it() {
        bench.createParticipant("web-1");
        bench.answer(request -> ElectorBench.isPatch(request, SELF) && "true".equals(((Effect.PatchPod) request).leadership())
                ? new Reply.Failed("403 denied", 0) : null);
        bench.start();
        for (int second = 0; second < 30; second++) {
            bench.touchLease("note", "touched " + second);
            bench.run(1000);
        }
        assertTrue(bench.asked().contains("PUT nobody"), bench.asked().toString());
    }

    @Test
    void a_leader_that_lost_the_lease_has_a_whole_lease_duration_for_its_label_when_it_wins_again() {
        bench.createParticipant("web-1");
        bench.answer(request -> ElectorBench.isPatch(request, SELF) && "true".equals(((Effect.PatchPod) request).leadership())
                ? new Reply.Failed("403 denied", 0) : null);
        bench.start();
        bench.run(Duration.ofSeconds(7));
        bench.takeLease("web-1");
        bench.mark();
        bench.releaseLease();
        bench.run(Duration.ofSeconds(30));
        assertTrue(bench.askedAt("PUT nobody") >= bench.askedAt("PUT web-0") + 15_000 * 1_000_000L, bench.asked().toString());
    }

    @Test
    void a_second_process_that_is_stopped_leaves_the_label_to_the_first() {
        bench.follow();
        bench.takeLease(SELF); // by another process for this pod
        bench.edit(SELF, "true", "true", bench.lease().version());
        bench.run(1000);
        stopLeavesTheLabelTo(() -> bench.takeLease(SELF));
    }

    @Test
    void the_clock_of_the_other_process_may_be_a_day_behind() {
        bench.follow();
        Instant yesterday = bench.lease().renewTime().minus(Duration.ofDays(1));
        Claim others = new Claim(SELF, bench.pod(SELF).uid(), yesterday, yesterday);
        bench.writeBack(others);
        bench.edit(SELF, "true", "true", bench.lease().version());
        stopLeavesTheLabelTo(() -> bench.writeBack(others.renewed(yesterday.plusSeconds(2))));
    }

    /** The process is stopped, and leaves the label to the other one for its pod as soon as that renews the Lease. */
    private void stopLeavesTheLabelTo(Runnable renewal) {
        bench.turn(new Event.Stop());
        bench.run(1000);
        assertNull(bench.exitCode(), "the other one may have ended, too");
        renewal.run();
        bench.run(100);
        assertEquals(List.of(), bench.asked());
        assertEquals(0, bench.exitCode());
    }

    @Test
    void an_unready_process_that_releases_the_lease_leaves_the_label_to_another_one_that_has_won() {
        bench.lead();
        bench.setReady(SELF, false);
        bench.hold(Effect.PatchPod.class::isInstance);
        bench.edit(SELF, "false", "true", bench.status().epoch());
        bench.run(100);
        Effect.PatchPod healing = bench.open(Effect.PatchPod.class);
        bench.run(Duration.ofSeconds(15));
        Instant later = bench.lease().renewTime().plusSeconds(60);
        bench.writeBack(new Claim(SELF, bench.pod(SELF).uid(), later, later));
        bench.edit(SELF, "true", "true", bench.lease().version());
        bench.mark();
        bench.turn(new Event.Replied(healing, new Reply.Conflict()));
        bench.run(1000);
        assertFalse(bench.asked().stream().anyMatch(request -> request.startsWith("PATCH web-0")), bench.asked().toString());
    }

    @Test
    void a_leader_renews_before_it_writes_to_a_pod_where_the_watch_shows_an_older_lease() {
        bench.createParticipant("web-1");
        bench.hold(request -> ElectorBench.isPatch(request, "web-1"));
        bench.start();
        Effect.PatchPod fence = bench.open(Effect.PatchPod.class);
        bench.mark();
        bench.turn(new Event.Replied(fence, new Reply.Failed("500", 0)));
        Lease won = bench.lease();
        bench.turn(new Event.LeaseUpdated(new Lease("1", won.uid(), "", 1, null, null, 0, null, "", won.origin())));
        bench.hold(request -> false);
        bench.run(100);
        assertEquals(List.of("PUT web-0", "PATCH web-0 true"), bench.asked());
    }

    @Test
    void another_record_of_the_same_version_shows_that_history_was_rewritten() {
        bench.follow();
        Lease known = bench.lease();
        bench.answer(request -> !(request instanceof Effect.GetLease) ? null : new Reply.LeaseReply(new Lease(known.version(), "another uid",
                "", 15, known.acquireTime(), known.renewTime(), 1, null, "", known.origin()), false));
        bench.silenceWatches();
        bench.run(Duration.ofSeconds(20));
        assertTrue(bench.turns().stream().anyMatch(turn -> turn.effects().stream().anyMatch(effect -> effect instanceof Effect.Log log
                && log.line().startsWith("resource versions went back"))), "a GET has shown it");
    }

    @Test
    void a_list_that_was_sent_before_the_watch_showed_an_older_version_does_not_prove_that_history_is_the_same() {
        bench.follow();
        bench.hold(Effect.ListPods.class::isInstance);
        bench.turn(new Event.PodsListed(List.of(), "1"));
        bench.turn(new Event.PodsListed(List.of(), "2"));
        bench.hold(request -> false);
        bench.run(1000);
        assertEquals(List.of("LIST", "LIST"), bench.asked());
    }

    @Test
    void a_late_answer_does_not_bring_back_a_pod_that_a_newer_list_lacks() {
        bench.follow();
        bench.silenceWatches();
        bench.createParticipant("web-2");
        bench.takeLease("web-2");
        bench.hold(Effect.GetPod.class::isInstance);
        bench.turn(new Event.LeaseUpdated(bench.lease()));
        Effect.GetPod get = bench.open(Effect.GetPod.class);
        Pod pod = bench.pod("web-2");
        bench.remove("web-2");
        bench.openWatches();
        bench.turn(new Event.Replied(get, new Reply.PodReply(pod)));
        assertEquals(List.of(SELF, "web-1"), bench.status().participants());
    }

    @Test
    void a_preferred_leader_that_could_not_be_labelled_waits_like_any_other_last_holder() {
        bench.follow();
        bench.touchLease("web/preferred-leader", SELF);
        bench.takeLease(SELF); // another process for this pod, which then gives the Lease back
        bench.releaseLease();
        long freeAt = bench.now();
        bench.run(Duration.ofSeconds(5));
        assertTrue(bench.askedAt("PUT web-0") >= freeAt + Duration.ofSeconds(2).toNanos(), bench.asked().toString());
    }

    @Test
    void an_answer_of_the_lost_history_does_not_count() {
        bench.follow();
        Lease known = bench.lease();
        Pod own = bench.pod(SELF);
        bench.hold(request -> request instanceof Effect.GetPod);
        bench.turn(new Event.PodRemoved(SELF, own.version()));
        Effect.GetPod get = bench.open(Effect.GetPod.class);
        bench.answer(request -> request instanceof Effect.GetLease ? new Reply.LeaseReply(new Lease("1", known.uid(), "", 15, null, null, 1,
                null, "", known.origin()), false) : null);
        bench.silenceWatches();
        bench.run(Duration.ofSeconds(10));
        assertTrue(logged(Level.WARN).contains("resource versions went back"), logged(Level.WARN));
        bench.turn(new Event.Replied(get, new Reply.PodReply(own)));
        assertEquals(List.of(), bench.status().participants());
    }

    @Test
    void a_win_whose_request_was_executed_after_the_next_one_was_sent_is_the_own() {
        bench.hold(Effect.PutLease.class::isInstance);
        bench.start();
        Effect.PutLease first = bench.open(Effect.PutLease.class);
        bench.turn(new Event.Replied(first, new Reply.Failed("connection reset", 0)));
        bench.run(1000);
        Effect.PutLease second = bench.open(Effect.PutLease.class);
        bench.mark();
        bench.execute(first);
        bench.turn(new Event.Replied(second, new Reply.Conflict()));
        bench.hold(request -> false);
        bench.run(500);
        assertTrue(bench.status().leading(), bench.asked().toString());
    }

    @Test
    void so_is_one_that_is_executed_a_minute_later() {
        bench = new ElectorBench(TestConfig.config().timing(Duration.ofSeconds(15), Duration.ofSeconds(10), Duration.ofSeconds(1)).build());
        bench.hold(Effect.PutLease.class::isInstance);
        bench.start();
        Effect.PutLease first = bench.open(Effect.PutLease.class);
        long sentAt = bench.now();
        while (bench.now() < sentAt + Duration.ofMinutes(1).toNanos()) {
            bench.turn(new Event.Replied(bench.open(Effect.PutLease.class), new Reply.Failed("timeout", 0)));
            bench.run(1210);
        }
        bench.execute(first);
        bench.turn(new Event.Replied(bench.open(Effect.PutLease.class), new Reply.Conflict()));
        bench.hold(request -> false);
        bench.run(500);
        assertTrue(bench.status().leading(), bench.asked().toString());
    }

    @Test
    void a_holder_that_was_gone_may_be_back_after_etcd_was_restored() {
        bench.follow();
        Store.Backup backup = bench.backUp();
        bench.remove("web-1");
        bench.run(1000);
        assertTrue(bench.status().leading(), "a holder that is gone is not waited for");
        bench.restore(backup);
        bench.openWatches();
        bench.run(1000);
        bench.mark();
        bench.run(Duration.ofSeconds(10));
        assertEquals("web-1", bench.status().leader());
        assertFalse(bench.asked().contains("LIST"), "it has 15 seconds to renew");
    }

    @Test
    void an_older_lease_that_is_written_back_does_not_pass_for_a_renewal_of_another_process() {
        bench.follow();
        bench.takeLease(SELF); // by another process for this pod
        Claim older = bench.lease().claim();
        bench.run(1000);
        bench.takeLease(SELF);
        bench.edit(SELF, "true", "true", bench.lease().version());
        bench.turn(new Event.Stop());
        bench.run(100);
        bench.writeBack(older);
        bench.run(Duration.ofSeconds(5));
        assertEquals("false", bench.pod(SELF).leadership());
        assertEquals(0, bench.exitCode());
    }

    /** What the order of answers does not need is forgotten, so that an idle follower's memory does not grow with each pod that leaves. */
    @Test
    void a_follower_that_awaits_no_answer_does_not_remember_pods_that_have_left() {
        bench.follow();
        bench.createParticipant("web-2");
        Event before = new Event.PodUpdated(bench.pod("web-2"));
        bench.remove("web-2");
        bench.turn(before); // no watch delivers this; it shows that nothing is known of the removal
        assertEquals(List.of(SELF, "web-1", "web-2"), bench.status().participants());
        assertEquals(List.of(), bench.asked());
    }

    /**
     * A renewal whose answer was lost is written back by somebody after another pod has won. The leader takes it for its own renewal, and
     * promotes its pod while the other one's promotion, which rests on a version that this leader has never fenced, is in flight.
     */
    @Test
    void a_lost_renewal_that_is_written_back_after_another_win_is_no_renewal() {
        bench.lead();
        bench.silenceWatches();
        bench.hold(Effect.PutLease.class::isInstance);
        bench.run(Duration.ofSeconds(2));
        Effect.PutLease renewal = bench.open(Effect.PutLease.class);
        bench.execute(renewal); // the answer is lost
        Claim renewed = bench.lease().claim();
        String inFlight = bench.pod("web-1").version();
        bench.releaseLease(); // somebody empties the Lease
        bench.takeLease("web-1"); // web-1 wins, fences this pod, and sends its promotion, which rests on the version in flight
        bench.edit(SELF, "false", "true", bench.lease().version());
        bench.writeBack(renewed); // somebody writes back what the Lease said three writes ago
        bench.mark();
        bench.openWatches();
        bench.turn(new Event.Replied(renewal, new Reply.Failed("timeout", 0)));
        bench.hold(request -> false);
        bench.run(2000);
        bench.execute(new Effect.PatchPod(0, "web-1", inFlight, "true", "true", "10", null, false, Long.MAX_VALUE)); // it arrives late
        assertFalse(bench.pod(SELF).isLabelled() && bench.pod("web-1").isLabelled(), "two labels " + bench.asked());
    }

    /** As for a GET (KnownGroup.hasLeft), but the late answer is that of a LIST: the pod stays until the watch begins anew. */
    @Test
    void a_late_list_does_not_bring_back_a_pod_that_a_newer_list_lacks() {
        bench.follow();
        bench.silenceWatches();
        bench.hold(Effect.ListPods.class::isInstance);
        bench.releaseLease();
        bench.turn(new Event.LeaseUpdated(bench.lease()));
        bench.run(100);
        bench.createParticipant("web-2");
        Effect.ListPods list = bench.open(Effect.ListPods.class);
        Reply late = new Reply.PodListReply(List.of(bench.pod(SELF), bench.pod("web-1"), bench.pod("web-2")), bench.pod("web-2").version());
        bench.remove("web-2");
        bench.takeLease("web-1");
        bench.openWatches();
        bench.turn(new Event.Replied(list, late));
        bench.hold(list::equals); // it has been answered
        for (int i = 0; i < 30; i++) {
            bench.run(2000);
            bench.takeLease("web-1");
        }
        assertEquals(List.of(SELF, "web-1"), bench.status().participants());
    }

    /** The preferred leader's container gets SIGTERM while its pod lives and is Ready: the others wait as long as it keeps its label. */
    @Test
    void a_preferred_leader_that_released_the_lease_is_not_waited_for_until_its_label_is_off() {
        bench.follow();
        bench.touchLease("web/preferred-leader", "web-1");
        bench.edit("web-1", "true", "true", bench.lease().version());
        bench.releaseLease();
        long freeAt = bench.now();
        bench.run(Duration.ofSeconds(5));
        long waited = (bench.askedAt("PUT web-0") - freeAt) / 1_000_000;
        assertTrue(waited < 1000, "PUT " + waited + " ms after the release; web-1 takes its label off after 2000 ms");
    }

    @Test
    void a_holder_whose_pod_lacks_the_key_is_not_asked_for_again_and_again() {
        bench.follow();
        bench.edit("web-1", null, "true", "0"); // its pod terminates, so its sidecar does not register it again, but keeps the Lease
        bench.mark();
        for (int i = 0; i < 30; i++) {
            bench.run(2000);
            bench.takeLease("web-1");
        }
        long gets = bench.asked().stream().filter("GET web-1"::equals).count();
        assertTrue(gets < 10, gets + " GETs in a minute, and " + bench.effects(Effect.WarnOfContention.class));
    }

    @Test
    void a_leader_gives_a_key_back_that_was_lost_while_the_watch_was_broken() {
        bench.lead();
        bench.silenceWatches();
        bench.edit("web-1", null, "true", bench.status().epoch());
        bench.openWatches();
        bench.run(5000);
        assertEquals("false", bench.pod("web-1").leadership());
    }
}
