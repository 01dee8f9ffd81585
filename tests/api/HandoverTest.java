import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import okhttp3.Response;
import org.junit.jupiter.api.extension.RegisterExtension;

/** A planned hand-over, request by request: nothing is asked that is not needed, nobody waits, and the label moves without a gap. */
@Patient
@Real
class HandoverTest {

    /** What each rank leaves to those before it. */
    private static final Duration RANK_STEP = Duration.ofMillis(50);
    /** How long an offered Lease is left to a successor, if there may be one. */
    private static final Duration SUCCESSOR_LIMIT = Duration.ofSeconds(2);

    @RegisterExtension
    final LocalGroups groups = new LocalGroups(RealServer::shared);

    @ConcurrentTest
    void on_sigterm_the_lease_is_released_and_the_next_in_rank_lists_wins_fences_and_labels_itself() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        List<String> ranking = group.ranking(old);
        long place = group.trace().now();
        long before = group.witness().now();

        group.sidecar(old).term();
        assertEquals(0, group.sidecar(old).exitCode(Group.SOON));

        group.group().awaitLeaderOtherThan(old, Group.SOON);
        assertHandedOver(group, place, before, old, ranking);
    }

    @ConcurrentTest
    void on_its_deletion_timestamp_the_leader_does_the_same_and_asks_for_nothing_more_until_sigterm() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        List<String> ranking = group.ranking(old);
        long place = group.trace().now();
        long before = group.witness().now();

        group.delete(old);
        String next = group.group().awaitLeaderOtherThan(old, Group.SOON);

        group.awaitRenewals(next, 2);
        assertTrue(group.sidecar(old).isAlive());
        group.sidecar(old).term();
        assertEquals(0, group.sidecar(old).exitCode(Group.SOON));
        assertHandedOver(group, place, before, old, ranking);
    }

    @ConcurrentTest
    void the_others_are_fenced_in_parallel_and_the_old_leader_only_after_them() {
        LocalGroup group = groups.elected(5, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        List<String> others = group.ranking(old);
        CountDownLatch allSent = new CountDownLatch(others.size() - 1);
        others.forEach(pod -> group.sidecar(pod).between(chain -> {
            if (chain.request().method().equals("PATCH") && !chain.request().url().encodedPath().endsWith("/" + old)) {
                allSent.countDown();
                await(allSent);
            }
            return chain.proceed(chain.request());
        }));
        long place = group.trace().now();

        group.sidecar(old).term();
        String next = group.group().awaitLeaderOtherThan(old, Group.SOON);

        Trace.Entry last = group.trace().first(place, next + ": PATCH pod " + old + " false");
        for (String pod : others) {
            Trace.Entry write = group.trace().first(place, next + ": PATCH pod " + pod + " " + pod.equals(next));
            // The own label may follow the watch's news of the last fence, which can come before the answer to it.
            assertTrue(pod.equals(next) ? write.sent > last.sent : write.sent < last.sent, write + "\n" + group.trace().history());
        }
    }

    @ConcurrentTest
    void where_everybody_is_told_to_go_the_leader_waits_for_nobody_and_takes_its_label_off() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String leader = group.group().awaitLeader(Group.SOON);
        group.delete(group.group().otherThan(leader));
        long place = group.trace().now();

        group.delete(leader);
        group.group().await("its label is off", Group.SOON, () -> "false".equals(group.group().labels().get(leader)));

        assertEquals(List.of(leader + ": PUT lease holder=", leader + ": PATCH pod " + leader + " false"),
                group.trace().textSince(place, entry -> !entry.is("PUT lease holder=" + leader)), "besides renewals");
        long waited = group.trace().first(place, leader + ": PATCH pod " + leader + " false").sentAt
                - group.trace().first(place, leader + ": PUT lease holder=").sentAt;
        assertTrue(waited < SUCCESSOR_LIMIT.toNanos(), waited + " ns");
    }

    @ConcurrentTest
    void a_release_whose_answer_is_lost_is_looked_up_and_not_repeated() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String next = group.group().otherThan(old);
        AtomicBoolean lost = new AtomicBoolean();
        group.sidecar(old).between(chain -> {
            Response response = chain.proceed(chain.request());
            return chain.request().method().equals("PUT") && !lost.getAndSet(true) ? lose(response) : response;
        });
        long place = group.trace().now();

        group.sidecar(old).term();
        assertEquals(0, group.sidecar(old).exitCode(Group.SOON));

        assertEquals(next, group.group().awaitLeaderOtherThan(old, Group.SOON));
        assertEquals(List.of(old + ": PUT lease holder=", old + ": GET lease"),
                group.trace().textSince(place, entry -> entry.pod.equals(old)));
    }

    @ConcurrentTest
    void a_release_that_did_not_arrive_is_repeated() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        AtomicBoolean lost = new AtomicBoolean();
        group.sidecar(old).between(chain -> {
            if (chain.request().method().equals("PUT") && !lost.getAndSet(true)) {
                throw new IOException("lost on the way");
            }
            return chain.proceed(chain.request());
        });
        long place = group.trace().now();

        group.sidecar(old).term();
        assertEquals(0, group.sidecar(old).exitCode(Group.SOON));

        group.group().awaitLeaderOtherThan(old, Group.SOON);
        assertEquals(List.of(old + ": PUT lease holder=", old + ": GET lease", old + ": PUT lease holder="),
                group.trace().textSince(place, entry -> entry.pod.equals(old)));
    }

    // --- Helpers -------------------------------------------------------------------------------------------------------

    /** The whole hand-over as requests and as revisions, whoever of the others was quick enough to take the Lease in its turn. */
    private static void assertHandedOver(LocalGroup group, long place, long before, String old, List<String> ranking) {
        String next = group.witness().lease().orElseThrow().holder();
        String third = ranking.stream().filter(pod -> !pod.equals(next)).findFirst().orElseThrow();
        Trace.Entry release = group.trace().first(place, old + ": PUT lease holder=");
        Trace.Entry fence = group.trace().first(place, next + ": PATCH pod " + old + " false");
        Trace.Entry promotion = group.trace().first(place, next + ": PATCH pod " + next + " true");
        assertEquals(List.of(release.toString(), next + ": LIST pods", next + ": PUT lease holder=" + next,
                next + ": PATCH pod " + third + " false", fence.toString(), promotion.toString()),
                group.trace().textSince(place, entry -> entry.sent >= release.sent
                        && (entry.pod.equals(old) || entry.pod.equals(next) && entry.sent <= promotion.sent)), group.trace().history());
        assertEachInItsTurn(group, place, release, ranking);
        group.trace().allSince(place).stream().filter(entry -> entry.is("POST event")).forEach(event -> assertTrue(
                event.sent > (event.pod.equals(old) ? fence : promotion).sent, "an event delays nothing\n" + group.trace().history()));
        List<Witness.Move> moves = group.witness().movesSince(before);
        assertEquals(List.of(old + " off", next + " on"), moves.stream().map(Witness.Move::toString).toList());
        assertEquals(moves.get(0).index() + 1, moves.get(1).index(), "off and on are adjacent");
    }

    /** On a busy machine a later one in rank may be the first to take the Lease, but it does not try before its time. */
    private static void assertEachInItsTurn(LocalGroup group, long place, Trace.Entry release, List<String> ranking) {
        for (int rank = 0; rank < ranking.size(); rank++) {
            String pod = ranking.get(rank);
            long waits = rank * RANK_STEP.toNanos();
            group.trace().since(place).stream().filter(entry -> entry.pod.equals(pod)).findFirst().ifPresent(entry -> assertTrue(
                    entry.sentAt - release.sentAt >= waits, pod + " asked before its turn\n" + group.trace().history()));
        }
    }

    /** The request was executed, but its answer does not arrive. */
    private static Response lose(Response response) throws IOException {
        response.close();
        throw new IOException("the answer was lost");
    }

    private static void await(CountDownLatch latch) throws IOException {
        try {
            if (!latch.await(Group.SOON.toSeconds(), TimeUnit.SECONDS)) {
                throw new IOException("the others were not sent meanwhile");
            }
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }
}
