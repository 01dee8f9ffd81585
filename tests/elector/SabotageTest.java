import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.fail;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongFunction;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Is every rule of the protocol needed, and would the simulation notice its loss? Each sabotage takes one rule out of the program. The
 * simulation must then go red on a few schedules, on which it is green as long as the program is whole.
 *
 * <p>A sabotage is a {@link Tampering} with what the elector learns and asks for, which survives every refactoring; or, where the rule does
 * not show there, another body for a method that is named: {@link PatchedProgram#method}.
 */
@Execution(ExecutionMode.CONCURRENT)
class SabotageTest {

    /** The schedules are those of the seeds from 0 on. */
    private static final int SEEDS = 1000;
    /** Schedules of the whole program that were green, by faults and seed; several sabotages share them. */
    private static final Map<String, Long> GREEN = new ConcurrentHashMap<>();
    private static final List<Sabotage> SABOTAGES = sabotages();

    /**
     * One rule less, by one of two ways.
     *
     * @param name what the program now does
     * @param invariant what must break
     * @param faults what the schedules have in store, see {@link Fault}
     * @param edits changes to the source text
     * @param tampering makes one for every process; null with edits
     */
    private record Sabotage(String name, String invariant, String faults, List<PatchedProgram.Edit> edits, Supplier<Tampering> tampering) {
        @Override
        public String toString() {
            return name;
        }
    }

    private static Sabotage sabotage(String name, String invariant, String faults, PatchedProgram.Edit... edits) {
        return new Sabotage(name, invariant, faults, List.of(edits), null);
    }

    private static Sabotage sabotage(String name, String invariant, String faults, Supplier<Tampering> tampering) {
        return new Sabotage(name, invariant, faults, List.of(), tampering);
    }

    /** One program with all edits, made when it is first asked for: the variant of a sabotage is its place in the list, from 1 on. */
    private static final class Patched {
        static final PatchedProgram PROGRAM = PatchedProgram.with(SABOTAGES.stream().map(Sabotage::edits).toList());
    }

    private static PatchedProgram.Edit method(String name, String body) {
        return PatchedProgram.method(name, body);
    }

    static List<Sabotage> sabotages() {
        return Stream.of(fencing(), readingAndListing(), writingTheLease(), winning(), timing(), leavingAndRegistering(), keepingTheLabel(),
                        observing(), harmlessPods(), recordOfTheLease(), ranking(), preferring(), writingToPods())
                .flatMap(List::stream).toList();
    }

    private static List<Sabotage> fencing() {
        return List.of(
                sabotage("a leader does not fence the others", "I1", "CRASH", method("isFenced", "return true;")),
                sabotage("a pod that came with the epoch of the leader passes for fenced", "I1", "LATE+SIGTERM+TEMPLATE_KEYS",
                        method("hasChangedSinceList", "return leading.epoch.equals(pod.epoch()) || original();")),
                sabotage("a leader is promoted over a pod whose fence failed", "I1", "PATCH_REFUSED LEASE_EMPTIED",
                        method("unfenced", "return original().stream().filter(o -> requests.failure(o.pod().name()) == null).toList();")),
                sabotage("a leader is promoted while fences are under way", "I1", "LEASE_EMPTIED",
                        method("unfenced", "return original().stream().filter(o -> !requests.isPending(o.pod().name())).toList();")),
                sabotage("patches carry no resourceVersion", "I1", "LATE LEASE_EMPTIED", () -> new Tampering() {
                    @Override
                    public Effect done(Effect effect) {
                        return !(effect instanceof Effect.PatchPod p) ? effect : new Effect.PatchPod(p.sequence(), p.name(), null,
                                p.leadership(), p.participation(), p.epoch(), p.deletionCost(), p.healing(), p.notAfter());
                    }
                }));
    }

    private static List<Sabotage> readingAndListing() {
        return List.of(
                sabotage("a new leader writes on readings that are younger than its win", "I1", "WATCH_LAG LEASE_EMPTIED SLOW",
                        method("isCovered", "return original() || !leading.promoted;")),
                sabotage("a leader heals without renewing first", "I1", "LATE LEASE_EMPTIED KEY_FORGED",
                        method("isCovered", "return original() || leading.promoted;")),
                sabotage("the group is listed before the version of the Lease is known", "I1",
                        "LEASE_DELETED WATCH_LAG SLOW POD_FORCED POD_DELETED", ListedOnce::new),
                sabotage("the group is listed by the participation label", "I1", "KEY_STRIPPED LATE LEASE_EMPTIED", () -> new Tampering() {
                    @Override
                    public Event learned(Event event) {
                        return !(event instanceof Event.Replied r && r.reply() instanceof Reply.PodListReply all) ? event
                                : new Event.Replied(r.request(), new Reply.PodListReply(
                                        all.pods().stream().filter(p -> p.participation() != null).toList(), all.version()));
                    }
                }));
    }

    /** The list that a process read first is good enough until it has won. */
    private static final class ListedOnce implements Tampering {
        private Reply listed;

        @Override
        public Event learned(Event event) {
            if (event instanceof Event.Replied replied) {
                listed = replied.reply() instanceof Reply.PodListReply ? replied.reply()
                        : replied.request() instanceof Effect.PutLease && replied.reply() instanceof Reply.LeaseReply ? null : listed;
            }
            return event;
        }

        @Override
        public Reply answered(Effect.Request request) {
            return request instanceof Effect.ListPods ? listed : null;
        }
    }

    private static List<Sabotage> writingTheLease() {
        return List.of(
                sabotage("the Lease is written without its uid", "last holder", "LEASE_DELETED", () -> new Tampering() {
                    @Override
                    public Effect done(Effect effect) {
                        return !(effect instanceof Effect.PutLease put) ? effect
                                : new Effect.PutLease(put.sequence(), written(put.lease(), put.lease().version()), put.notAfter());
                    }
                }),
                sabotage("the participant that creates the Lease has won it", "I1", "LEASE_DELETED+WATCH_LAG+SLOW",
                        CreatingIsWinning::new));
    }

    /** A Lease as it is put in place of {@code lease}: of any uid, and of any version if that is null. */
    private static Lease written(Lease lease, String version) {
        return new Lease(version, null, lease.holder(), lease.durationSeconds(), lease.acquireTime(), lease.renewTime(),
                lease.transitions(), lease.claim(), lease.preferred(), lease.origin());
    }

    /** A Lease that does not exist is taken for one that is free; so it is never created by a request of its own, but by the PUT. */
    private static final class CreatingIsWinning implements Tampering {
        /** uid of the Lease that does not exist. */
        private static final String NONE = "none";
        private long newest;

        @Override
        public Event learned(Event event) {
            return switch (event) {
                case Event.LeaseUpdated seen -> noted(seen.lease(), seen);
                case Event.LeaseDeleted left -> new Event.LeaseUpdated(free(left.version()));
                case Event.Replied(Effect.Request request, Reply.LeaseReply is) ->
                        noted(is.lease(), new Event.Replied(request, new Reply.LeaseReply(is.lease(), false)));
                case Event.Replied(Effect.GetLease get, Reply.NotFound missing) ->
                        new Event.Replied(get, new Reply.LeaseReply(free(Long.toString(newest + 1)), false));
                default -> event;
            };
        }

        private Event noted(Lease lease, Event event) {
            newest = Math.max(newest, Long.parseLong(lease.version()));
            return event;
        }

        private static Lease free(String version) {
            return new Lease(version, NONE, "", 1, null, null, 0, null, "", null);
        }

        @Override
        public Effect done(Effect effect) {
            return effect instanceof Effect.PutLease put && put.lease().uid().equals(NONE)
                    ? new Effect.PutLease(put.sequence(), written(put.lease(), null), put.notAfter()) : effect;
        }
    }

    private static List<Sabotage> winning() {
        return List.of(
                sabotage("a renewal takes an empty holder for its own", "I1", "LEASE_EMPTIED WATCH_LAG LATE",
                        method("isWon", "return original() || lease.get() != null && !lease.isHeld();")),
                sabotage("a renewal takes a foreign acquireTime for its own", "I5", "POD_REPLACED WATCH_LAG FREEZE",
                        method("isWon", "return lease.isHeld() && lease.holder().equals(config.pod());")),
                sabotage("a renewal whose answer was lost is told by what the Lease says", "I3",
                        "LEASE_RESTORED+LATE+LEASE_EMPTIED+WATCH_LAG+LOST_REPLY", method("isWon",
                                "if (lease.get() != null && leading.claim.isRenewedBy(lease.claim())) {"
                                + " leading.claim = lease.claim(); leading.version = lease.get().version(); } return original();")),
                sabotage("an old state of the Lease that somebody put back passes for the own win", "I3",
                        "LEASE_RESTORED+LEASE_EMPTIED+WATCH_LAG",
                        method("isWon", "return isHeldBySelf() && lease.claim().acquireTime().equals(leading.claim.acquireTime());")),
                sabotage("a Lease of the own name is resumed whatever the uid", "I5", "POD_REPLACED WATCH_LAG FREEZE",
                        method("isHeldBySelf", "return lease.claim() != null && lease.holder().equals(config.pod());")));
    }

    private static List<Sabotage> timing() {
        return List.of(
                sabotage("expiry is read off the holder's wall clock", "I5", "WALL_CLOCKS",
                        method("mayAcquire", "return original() || isRegistered() && lease.isHeld() && lease.get().renewTime() != null"
                                + " && wallClock.isAfter(lease.get().renewTime().plusNanos(leaseDuration));")),
                sabotage("expiry goes by the own duration instead of the recorded one", "I5", "MIXED_SETTINGS CRASH",
                        method("KnownLease.recordedDuration", "return leaseDuration;")),
                sabotage("a holder is taken for gone because a watch says so", "I5", "KEY_STRIPPED WATCH_LAG", () -> new Tampering() {
                    @Override
                    public Reply answered(Effect.Request request) {
                        return request instanceof Effect.GetPod get && get.suspectUid() != null ? new Reply.NotFound() : null;
                    }
                }));
    }

    private static List<Sabotage> leavingAndRegistering() {
        return List.of(
                sabotage("true is written on a pod that has failed", "I1", "POD_FINISHED KEY_FORGED LATE SLOW LEASE_EMPTIED",
                        method("isTerminating", "return original() && (stopAt != NEVER || !group.own().finished());")),
                sabotage("true is written on a pod that has lost a key", "keys", "KEY_STRIPPED LATE LEASE_EMPTIED",
                        method("sendRegistration", "if (!(role instanceof Role.Leading)) { original(); }"),
                        method("isRegistered", "return role instanceof Role.Leading && group.own() != null || original();")),
                sabotage("a leader that leaves does not raise the version of its pod", "I2", "LATE LEASE_EMPTIED WIND_DOWN",
                        method("mayCarryLabel", "return original() && (group.own() == null || group.own().isLabelled());")));
    }

    /** What is known: an answer, a list or an event never puts something older in the place of something newer. */
    private static List<Sabotage> observing() {
        return List.of(
                sabotage("a 404 removes a pod that was observed since", "participants", "POD_REPLACED+GET_STALE",
                        method("KnownGroup.observeMissing", "pods.remove(name); return true;")),
                sabotage("an old event removes a newer pod", "participants", "KEY_STRIPPED+GET_STALE",
                        method("KnownGroup.observeRemoved", "pods.remove(name); removed.put(name, version); return true;")),
                sabotage("an answer from before a removal puts the pod back", "participants", "GET_STALE POD_FORCED",
                        method("KnownGroup.forgetRemoved", "removed.clear();")),
                sabotage("a leader does not ask for an alive pod that has lost its key", "I6", "KEY_STRIPPED SIDECAR_DEAD",
                        method("onPodRemoved", "if (group.observeRemoved(name, version) && group.isSelf(name)) {"
                                + " group.markStale(name); }")),
                sabotage("history that was rewritten goes unnoticed", "I4", "ETCD_RESTORED", method("forgetIfHistoryWasRewritten", "")));
    }

    /** A pod that is not fenced is harmless if it is not labelled and newer than the list. */
    private static List<Sabotage> harmlessPods() {
        return List.of(
                sabotage("a pod that has not changed since the list passes for harmless", "I1", "LATE LEASE_EMPTIED KEY_FORGED",
                        method("isHarmless", "return !pod.isLabelled();")),
                sabotage("a labelled pod passes for harmless", "I1", "LATE LEASE_EMPTIED KEY_FORGED",
                        method("isHarmless", "return hasChangedSinceList(leading, pod);")),
                sabotage("a leader does not announce that it will label its busy pod", "I4", "BUSY_POD",
                        PatchedProgram.snippet("!leading.announcementFailed", "false")),
                sabotage("a fence waits for a renewal, however long label and epoch have been the same", "I4", "BUSY_POD+SIDECAR_DEAD",
                        method("KnownGroup.isSameSince", "return false;")),
                sabotage("a fence rests on the epoch alone, which a policy may have kept", "I3",
                        "POD_WRITES_REWRITTEN+LEASE_JANITOR+WATCH_LAG",
                        PatchedProgram.snippet("Objects.equals(last.leadership(), seen.leadership())", "true")),
                sabotage("retries come in step where the budget is spent", "I6", "BUSY_POD+LABELS_UNDONE",
                        PatchedProgram.snippet("Math.max(now, budgetAt(target, 2)) + pause", "now + pause")),
                sabotage("a pod that is labelled and announced is taken for one that is only announced", "I3", "BUSY_POD+LEASE_EMPTIED",
                        method("isOnlyAnnounced", "return group.own() != null && group.own().isAnnounced();")),
                sabotage("a refusing follower is waited for, though it has changed", "I4", "PATCH_REFUSED",
                        method("isHarmless", "return false;")),
                sabotage("a leader that is not labelled waits for a refusing follower for ever", "I4", "PATCH_REFUSED POD_DELETED",
                        PatchedProgram.snippet("isLabelled ? NEVER : Math.min(unlabelledSince, now)",
                                "isLabelled || !unfenced(leading, false).isEmpty() ? NEVER : Math.min(unlabelledSince, now)")),
                sabotage("a leader that is not labelled waits anew whenever the Lease is touched", "I4", "PATCH_REFUSED LEASE_TOUCHED",
                        method("follow", "unlabelledSince = NEVER; original();")),
                sabotage("a leader that could not be labelled does not stand back", "stands back", "PATCH_REFUSED LEASE_EMPTIED",
                        method("startReleasing", "original(reason); mayAcquireAt = 0;")));
    }

    /** What the Lease says, and what others write into it. */
    private static List<Sabotage> recordOfTheLease() {
        return List.of(
                sabotage("transitions grow beyond what the API server takes", "I4", "TRANSITIONS_MAX CRASH",
                        PatchedProgram.snippet("transitions == Integer.MAX_VALUE ? 0 : transitions + 1", "transitions + 1")),
                sabotage("a touch of the Lease postpones its expiry", "I4", "LEASE_TOUCHED+SIDECAR_DEAD",
                        method("Lease.hasSameRecord", "return false;")),
                sabotage("only a claim tells who holds the Lease", "I4", "LEASE_WEBHOOK SIGTERM",
                        method("Lease.hasTimesOf", "return false;")),
                sabotage("a Lease whose times a webhook has changed is not the own", "I4", "LEASE_WEBHOOK SIGTERM",
                        method("KnownLease.written", "original(claim, attempts.isEmpty() ? made : attempts.peekLast());")),
                sabotage("a renewal that the watch shows with other times before the answer is another's", "I6", "LEASE_WEBHOOK",
                        method("awaitsAnswer", "return requests.pending(Requests.LEASE) instanceof Effect.PutLease put"
                                + " && original() && lease.get().hasTimesOf(put.lease());")),
                sabotage("only the times tell a renewal", "I5", "LEASE_WEBHOOK",
                        method("Lease.hasSameRecord", "return original() || other != null && claim() == null && other.claim() == null"
                                + " && Objects.equals(durationSeconds, other.durationSeconds) && hasTimesOf(other);")),
                sabotage("a PUT that makes no new version of the Lease is a win", "I2", "LEASE_WEBHOOK+LEASE_TOUCHED",
                        PatchedProgram.snippet("ok.lease().version().equals(put.lease().version())", "false")),
                sabotage("a rewritten Lease passes for what was written", "said", "LEASE_WEBHOOK",
                        method("PutLease.rewrittenField", "return null;")),
                sabotage("a release that is refused is tried for ever", "I4", "LEASE_WEBHOOK+LEADER_PREFERRED+SIDECAR_DEAD",
                        PatchedProgram.snippet("isHeldBySelf() && !reachedElseWakeAt(lease.expiresAt())", "isHeldBySelf()")),
                sabotage("a process that cannot release the Lease ends with its label", "I3", "LEASE_WEBHOOK SIGTERM",
                        PatchedProgram.snippet("releasing.reason == Role.Reason.UNREADY || stopAt != NEVER"
                                + " && reachedElseWakeAt(stopAt + FENCE_TIMEOUT)", "releasing.reason == Role.Reason.UNREADY")),
                sabotage("a second process for the same pod passes for a predecessor", "I5", "SECOND_PROCESS",
                        method("KnownLease.isHeldBySelf", "return namesPod(pod, uid);")),
                sabotage("the time in the Lease may stand still", "I5", "WALL_CLOCKS",
                        method("nextLeaseTime", "return wallClock.truncatedTo(ChronoUnit.DAYS);")),
                sabotage("a Retry-After of an hour is honoured", "I4", "RETRY_AFTER",
                        PatchedProgram.snippet("Math.min(failed.pauseNanos(), longestPause)", "failed.pauseNanos()")));
    }

    /** Whose turn it is. */
    private static List<Sabotage> ranking() {
        return List.of(
                sabotage("the last holder does not wait", "last holder", "LEASE_EMPTIED", method("lastHolder", "return \"\";")),
                sabotage("an unknown last holder is not the labelled pod", "last holder", "LEASE_DELETED CRASH",
                        method("lastHolder", "return lease.lastHolder();")),
                sabotage("a pod of an older revision does not wait", "revision", "ROLLING_UPDATE+LEASE_EMPTIED",
                        method("isOfOlderRevision", "return false;")),
                sabotage("a leader that has no claim is waited for", "I3", "LEASE_STRANGER+POD_DELETED",
                        method("awaitsFence", "return original() || isTerminating() && lease.isHeld() && lease.claim() == null"
                                + " && stopAt != NEVER && !reachedElseWakeAt(stopAt + FENCE_TIMEOUT);")));
    }

    /** The preferred leader gets the Lease, and is offered it neither too soon nor for ever. */
    private static List<Sabotage> preferring() {
        return List.of(
                sabotage("the preferred leader is offered nothing", "preferred", "LEADER_PREFERRED",
                        method("shouldOfferToPreferred", "return false;")),
                sabotage("the Lease is offered as soon as another leader is preferred", "preferred", "LEADER_PREFERRED",
                        method("shouldOfferToPreferred", "return preferredLeader() != null && !group.isSelf(preferredLeader().name());")),
                sabotage("with after-exit, a free Lease is not left to the preferred leader", "preferred",
                        "MIXED_SETTINGS LEADER_PREFERRED SIGTERM",
                        method("preferredLeader", "return config.handover() == Handover.EARLY ? original() : null;")),
                sabotage("the preferred leader waits longer than the others", "preferred", "LEADER_PREFERRED",
                        method("acquireDelay", "return preferredLeader() == own ? retryPeriod + 1 : original();")),
                sabotage("the Lease is offered again to a pod that did not acquire it", "I6", "LEADER_PREFERRED SIDECAR_DEAD",
                        method("shouldOfferToPreferred",
                                "long was = offeredAt; offeredAt = NEVER; boolean is = original(); offeredAt = was; return is;")));
    }

    /** Which writes are made, and how many. */
    private static List<Sabotage> writingToPods() {
        return List.of(
                sabotage("the epoch annotation is not one of the three keys", "keys", "KEY_STRIPPED",
                        method("Pod.hasAllKeys", "return leadership != null && participation != null;")),
                sabotage("a finished pod is fenced like any other", "finished", "POD_FINISHED",
                        method("isFenced", "return \"false\".equals(pod.leadership()) && \"true\".equals(pod.participation())"
                                + " && leading.epoch.equals(pod.epoch());")),
                sabotage("requests to one object have no budget", "I8", "LABELS_UNDONE", method("Requests.budgetAt", "return 0;")),
                sabotage("a matter is warned of each time", "log", "LABELS_UNDONE", method("mayWarn", "return true;")),
                sabotage("the own pod is whatever has its name", "I2", "POD_REPLACED+CRASH", method("onPodRead",
                        "if (group.isSelf(get.name()) && reply instanceof Reply.PodReply ok && !group.wasOwnPodRead()) {"
                                + " group.setUid(ok.pod().uid()); }"
                                + " original();")),
                sabotage("a fence leaves the deletion cost to a pod that no longer leads", "I6", "SIGTERM",
                        method("Pod.deletionCostFor", "return leads ? original() : null;")),
                sabotage("a write that changes nothing passes for a success", "said", "POD_WRITES_REWRITTEN",
                        method("outcome", "return reply;")));
    }

    /** Beyond safety: the label moves, it is not dropped, and the lead stays where it is. */
    private static List<Sabotage> keepingTheLabel() {
        return List.of(
                sabotage("the labelled pod is not the last to be fenced", "I3", "POD_DELETED",
                        PatchedProgram.snippet("onlyLabelled || !o.pod().isLabelled()", "true")),
                sabotage("a leader that leaves takes its label off instead of offering the Lease", "I3", "POD_DELETED",
                        method("awaitsFence", "return original() && lease.isHeld();")),
                sabotage("a follower takes its own label off", "I3", "LEASE_DELETED",
                        method("follow", "original(); if (group.own() != null && group.own().isLabelled()) { sendSelfFence(); }")),
                sabotage("a restarted container does not take its Lease back", "I5", "CRASH",
                        method("mayAcquire", "return original() && (!isHeldBySelf()"
                                + " || reachedElseWakeAt(lease.freeAt() + acquireDelay(group.own())));")),
                sabotage("after-exit hands over before the application has exited", "after-exit", "POD_DELETED",
                        method("holdsLeaseUntilSigterm", "return false;")),
                sabotage("after-exit does not win a Lease anew that was touched", "after-exit", "POD_DELETED LEASE_TOUCHED",
                        method("isLeaving", "return isTerminating();")),
                sabotage("a second process takes the label of the first with it", "I3", "SECOND_PROCESS SIGTERM",
                        method("isLabelOfOtherProcess", "return false;")),
                sabotage("a half-open watch is never begun anew", "watch", "WATCH_SILENT", () -> new Tampering() {
                    @Override
                    public Effect done(Effect effect) {
                        return effect instanceof Effect.RestartWatches ? null : effect;
                    }
                }));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("sabotages")
    void the_simulation_notices_when(Sabotage sabotage) {
        int variant = SABOTAGES.indexOf(sabotage) + 1;
        long red = firstRed(sabotage, sabotage.tampering != null
                ? seed -> Simulation.violated(seed, sabotage.faults, sabotage.tampering)
                : seed -> Patched.PROGRAM.violated(variant, seed, sabotage.faults));
        isGreenWithoutSabotage(sabotage.faults, red);
    }

    /** Plays until the invariant breaks; returns the number of schedules. */
    private static long firstRed(Sabotage sabotage, LongFunction<String> violated) {
        for (long seed = 0; seed < SEEDS; seed++) {
            String found = violated.apply(seed);
            if (found != null && found.startsWith(sabotage.invariant + ": ")) {
                System.out.printf("sabotage: red after %d schedules: %s: %s%n", seed + 1, sabotage, found);
                return seed + 1;
            }
        }
        return fail("nothing violated " + sabotage.invariant + " in " + SEEDS + " schedules");
    }

    private static void isGreenWithoutSabotage(String faults, long seeds) {
        long known = GREEN.getOrDefault(faults, 0L);
        for (long seed = known; seed < seeds; seed++) {
            assertNull(Simulation.violated(seed, faults), "the whole program, seed " + seed);
        }
        GREEN.merge(faults, seeds, Math::max);
    }
}
