import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Who takes a free Lease: Ready before not Ready, the newest first, the last holder last; and what that makes of a rolling update. */
@Patient
class RankTest {

    private static InMemoryServer server;

    @RegisterExtension
    final LocalGroups groups = new LocalGroups(() -> server);

    @BeforeAll
    static void startServer() {
        server = new InMemoryServer();
    }

    @AfterAll
    static void closeServer() {
        server.close();
    }

    // --- Order -------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void the_newest_pod_takes_the_lease() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        awaitNextSecond();
        group.start(2, 3);
        group.group().awaitLeader(Group.SOON);
        group.awaitIdle(old);

        group.sidecar(old).term();

        assertEquals("web-2", group.group().awaitLeaderOtherThan(old, Group.SOON));
    }

    @ConcurrentTest
    void a_pod_that_is_not_ready_does_not_even_try_while_one_is() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String unready = group.ranking(old).get(0);
        String ready = group.ranking(old).get(1);
        group.setReady(unready, false);
        group.awaitIdle(old);
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(ready, group.group().awaitLeaderOtherThan(old, Group.SOON));
        group.awaitRenewals(ready, 2);
        assertEquals(List.of(), group.trace().textSince(place, entry -> entry.pod.equals(unready)));
    }

    @ConcurrentTest
    void pods_that_are_not_ready_cost_those_that_are_no_time_however_many_and_new_they_are() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String next = group.group().otherThan(old);
        awaitNextSecond();
        for (int i = 10; i < 40; i++) {
            group.createPod("web-" + i, false);
            group.group().editLabel("web-" + i, group.group().keys().leadership(), "false");
        }
        group.group().awaitLeader(Group.SOON); // who makes participants of them
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(next, group.group().awaitLeaderOtherThan(old, Group.SOON));
        long release = group.trace().first(place, old + ": PUT lease holder=").sentAt;
        long waited = group.trace().first(place, next + ": LIST pods").sentAt - release;
        assertTrue(waited < Duration.ofMillis(1000).toNanos(), waited + " ns; 30 steps were 1500 ms");
    }

    @ConcurrentTest
    void a_terminating_pod_does_not_take_the_lease() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String terminating = group.ranking(old).get(0);
        group.delete(terminating);
        group.awaitIdle(old);
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(group.ranking(old).get(0), group.group().awaitLeaderOtherThan(old, Group.SOON));
        assertEquals(List.of(), group.trace().textSince(place, entry -> entry.pod.equals(terminating)));
    }

    @ConcurrentTest
    void with_nobody_ready_one_still_leads_and_hands_over() {
        LocalGroup group = groups.empty(Group.CALM);
        group.createPod("web-0", false);
        group.createPod("web-1", false);
        group.start("web-0");
        group.start("web-1");
        String first = group.group().awaitLeader(Group.SOON);

        group.sidecar(first).term();

        group.group().awaitLeaderOtherThan(first, Duration.ofSeconds(10));
    }

    @ConcurrentTest
    void where_only_a_pod_with_a_dead_sidecar_is_ready_another_waits_a_retry_period_and_leads() {
        LocalGroup group = groups.elected(2, Group.FAST);
        String dead = group.group().awaitLeader(Group.SOON);
        String unready = group.group().otherThan(dead);
        group.setReady(unready, false);
        group.awaitRenewals(dead, 1);
        long renewed = group.witness().lease().orElseThrow().at();
        group.crash(dead);
        long place = group.trace().now();

        assertEquals(unready, group.group().awaitLeaderOtherThan(dead, Group.SOON));

        long waited = group.trace().first(place, unready + ": PUT lease holder=" + unready).sentAt - renewed;
        assertTrue(waited > Group.LEASE.plusMillis(500 - 250).toNanos(), "only " + waited + " ns");
    }

    @ConcurrentTest
    void a_ready_pod_with_a_dead_sidecar_costs_the_others_its_step_of_50_ms_and_no_more() {
        LocalGroup group = groups.elected(3, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        String next = group.ranking(old).get(1);
        group.crash(group.ranking(old).get(0));
        long place = group.trace().now();

        group.sidecar(old).term();

        assertEquals(next, group.group().awaitLeaderOtherThan(old, Group.SOON));
        long release = group.trace().first(place, old + ": PUT lease holder=").sentAt;
        long waited = group.trace().first(place, next + ": LIST pods").sentAt - release;
        assertTrue(waited >= Duration.ofMillis(50).toNanos(), "only " + waited + " ns");
        assertTrue(waited < Duration.ofMillis(1500).toNanos(), waited + " ns: less than the retry-period of 2 s");
    }

    /** Creation timestamps are in whole seconds. */
    private static void awaitNextSecond() {
        Instant begun = Instant.now();
        Wait.until("the next second has begun", Group.SOON, () -> Instant.now().getEpochSecond() > begun.getEpochSecond());
    }

    // --- The last holder -----------------------------------------------------------------------------------------------

    @ConcurrentTest
    void a_lease_emptied_by_hand_goes_to_another_pod() {
        LocalGroup group = groups.elected(2, Group.CALM);
        String old = group.group().awaitLeader(Group.SOON);
        long before = group.witness().now();
        long place = group.trace().now();

        group.group().editLease(spec -> spec.setHolderIdentity(""));

        String next = group.group().awaitLeaderOtherThan(old, Group.SOON);
        assertEquals(List.of(old + " off", next + " on"), group.movesSince(before));
        assertEquals(List.of(), group.trace().textSince(place, entry -> entry.pod.equals(old) && entry.is("PUT lease holder=" + old)));
    }

    @ConcurrentTest
    void a_single_replica_leads_again_after_its_lease_was_emptied_or_deleted() {
        LocalGroup group = groups.elected(1, Group.FAST);
        String claim = claim(group);

        group.group().editLease(spec -> spec.setHolderIdentity(""));
        awaitAnotherClaim(group, claim);
        group.group().awaitLeader(Group.SOON);

        String second = claim(group);
        group.group().deleteLease();
        awaitAnotherClaim(group, second);
        group.group().awaitLeader(Group.SOON);

        group.crash("web-0");
        String third = claim(group);
        group.start("web-0");
        awaitAnotherClaim(group, third);
        group.group().awaitLeader(Group.SOON);
        assertEquals(List.of("web-0 on"), group.movesSince(0), "its label is never off: nobody else leads");
    }

    private static String claim(LocalGroup group) {
        return group.witness().lease().orElseThrow().claim();
    }

    private static void awaitAnotherClaim(LocalGroup group, String claim) {
        group.group().await("the lease is won anew", Group.SOON, () -> group.witness().lease()
                .filter(lease -> lease.claim() != null && !lease.claim().equals(claim)).isPresent());
    }

    // --- Rolling updates -----------------------------------------------------------------------------------------------

    /** Real controllers make and delete the pods; the test is the kubelet. */
    @Real
    @Nested
    class RollingUpdateTest {

        private static final Duration ROLLOUT = Duration.ofSeconds(60);
        private static RealServer.ControllerManager controllers;

        @RegisterExtension
        final LocalGroups groups = new LocalGroups(RealServer::shared);

        @BeforeAll
        static void startControllers() {
            assumeTrue(RealServer.shared().canStop(), "that cluster's own kubelets would look after the pods");
            controllers = RealServer.shared().controllerManager();
        }

        @AfterAll
        static void closeControllers() {
            if (controllers != null) {
                controllers.close();
            }
        }

        @ConcurrentTest
        void of_a_deployment_changes_the_leader_once_where_the_leader_is_deleted_first() {
            assertOneChange(-100, 0, 0);
        }

        @ConcurrentTest
        void of_a_deployment_changes_the_leader_once_where_the_leader_is_deleted_second() {
            assertOneChange(0, -100, 100);
        }

        @ConcurrentTest
        void of_a_deployment_changes_the_leader_once_where_the_leader_is_deleted_last() {
            assertOneChange(100, 0, 0);
        }

        /** The costs say in which order the ReplicaSet controller deletes pods: the leader, then the two others. */
        private void assertOneChange(int leaderCost, int cost, int otherCost) {
            LocalGroup group = groups.empty(Group.CALM);
            try (RollingNode node = new RollingNode(RealServer.shared(), group)) {
                RealServer.shared().apply(group.group().namespace(), deployment("1"));
                awaitReady(group, "1");
                assertEquals(node.first(), group.group().awaitLeader(Group.SOON));
                List<String> others = group.ranking(node.first());
                setDeletionCost(group, node.first(), leaderCost);
                setDeletionCost(group, others.get(0), cost);
                setDeletionCost(group, others.get(1), otherCost);
                long before = group.witness().now();

                RealServer.shared().apply(group.group().namespace(), deployment("2"));
                awaitReady(group, "2");

                String leader = group.group().awaitLeader(Group.SOON);
                assertNull(node.failure());
                assertEquals(List.of(node.first() + " off", leader + " on"), group.movesSince(before));
            }
        }

        @ConcurrentTest
        void of_a_stateful_set_changes_the_leader_at_most_twice() {
            LocalGroup group = groups.empty(Group.CALM);
            try (RollingNode node = new RollingNode(RealServer.shared(), group)) {
                RealServer.shared().apply(group.group().namespace(), statefulSet("1"));
                awaitReady(group, "1");
                // The highest number is replaced first: the lead that it loses is the first that can be lost again.
                if (!group.group().awaitLeader(Group.SOON).equals("web-2")) {
                    moveTo(group, "web-2");
                }
                long before = group.witness().now();

                RealServer.shared().apply(group.group().namespace(), statefulSet("2"));
                awaitReady(group, "2");

                group.group().awaitLeader(Group.SOON);
                assertNull(node.failure());
                List<String> on = group.movesSince(before).stream().filter(move -> move.endsWith(" on")).toList();
                assertTrue(!on.isEmpty() && on.size() <= 2, on.toString());
            }
        }

        private static void moveTo(LocalGroup group, String pod) {
            for (String other : group.ranking(pod)) {
                group.setReady(other, false);
            }
            group.group().editLease(spec -> spec.setHolderIdentity(""));
            group.group().await(pod + " leads", Group.SOON, () -> "true".equals(group.group().labels().get(pod)));
            for (String other : group.ranking(pod)) {
                group.setReady(other, true);
            }
            group.group().awaitLeader(Group.SOON);
        }

        private static void setDeletionCost(LocalGroup group, String pod, int cost) {
            group.group().editPod(pod, """
                    {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "%d"}}}""".formatted(cost));
        }

        /** Waits until there are three pods, all of this version of the template, and Ready. */
        private static void awaitReady(LocalGroup group, String version) {
            group.group().await("three pods of version " + version, ROLLOUT, () -> group.readyPods("version", version).size() == 3
                    && group.witness().pods().size() == 3);
        }

        private static String deployment(String version) {
            return """
                    apiVersion: apps/v1
                    kind: Deployment
                    metadata: {name: web}
                    spec:
                      replicas: 3
                      strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
                      selector: {matchLabels: {app: web}}
                      template: %s
                    """.formatted(template(version));
        }

        private static String statefulSet(String version) {
            return """
                    apiVersion: apps/v1
                    kind: StatefulSet
                    metadata: {name: web}
                    spec:
                      replicas: 3
                      podManagementPolicy: Parallel
                      serviceName: web
                      selector: {matchLabels: {app: web}}
                      template: %s
                    """.formatted(template(version));
        }

        private static String template(String version) {
            return "{metadata: {labels: {app: web, version: \"%s\"}}, spec: {nodeName: %s, containers: [{name: app, image: app}]}}"
                    .formatted(version, LocalGroup.NODE);
        }
    }
}
