import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the ranks make of rolling updates. Real controllers make and delete the pods; the test is the kubelet. */
@Real
class RollingUpdateTest {

    private static final Duration ROLLOUT = Duration.ofSeconds(60);
    private static RealServer.ControllerManager controllers;

    @RegisterExtension
    final Groups groups = Groups.ofTest();

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

    /** The costs say in which order the ReplicaSet controller deletes pods: the leader first, second or last. */
    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource({"-100, 0, 0", "0, -100, 100", "100, 0, 0"})
    void a_rolling_update_of_a_deployment_changes_the_leader_once(int leaderCost, int cost, int otherCost) {
        HostileGroup group = calmGroup();
        try (RollingNode node = new RollingNode(RealServer.shared(), group)) {
            RealServer.shared().apply(group.group().namespace(), deployment("1"));
            awaitReady(group, "1");
            assertEquals(node.first(), group.group().awaitLeader(Group.SOON));
            List<String> others = group.podsOtherThan(node.first());
            setDeletionCost(group, node.first(), leaderCost);
            setDeletionCost(group, others.get(0), cost);
            setDeletionCost(group, others.get(1), otherCost);
            long before = group.witness().now();

            RealServer.shared().apply(group.group().namespace(), deployment("2"));
            awaitReady(group, "2");

            String leader = group.group().awaitLeader(Group.SOON);
            assertNull(node.failure());
            assertEquals(List.of(node.first() + " off", leader + " on"), moves(group, before));
        }
    }

    @ConcurrentTest
    void a_rolling_update_of_a_stateful_set_changes_the_leader_at_most_twice() {
        HostileGroup group = calmGroup();
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
            List<String> on = moves(group, before).stream().filter(move -> move.endsWith(" on")).toList();
            assertTrue(!on.isEmpty() && on.size() <= 2, on.toString());
        }
    }

    /**
     * Pods that became Ready at about the same time are chosen by lot. The others' cost makes it certain that a leader without a cost goes
     * first.
     */
    @ParameterizedTest
    @Execution(ExecutionMode.CONCURRENT)
    @CsvSource({"0", "50"})
    void a_deployment_that_is_scaled_down_after_a_rolling_update_keeps_its_leader(int othersCost) {
        HostileGroup group = calmGroup();
        try (RollingNode node = new RollingNode(RealServer.shared(), group)) {
            RealServer.shared().apply(group.group().namespace(), deployment("1"));
            awaitReady(group, "1");
            RealServer.shared().apply(group.group().namespace(), deployment("2"));
            awaitReady(group, "2");
            String leader = group.group().awaitLeader(Group.SOON);
            if (othersCost > 0) {
                group.podsOtherThan(leader).forEach(other -> setDeletionCost(group, other, othersCost));
            }
            long before = group.witness().now();

            for (int replicas = 2; replicas > 0; replicas--) {
                int left = replicas;
                RealServer.shared().apply(group.group().namespace(),
                        deployment("2").replace("replicas: 3", "replicas: " + left));
                group.group().await(left + " pods are left", ROLLOUT, () -> group.witness().pods().size() == left);
            }

            assertNull(node.failure());
            assertEquals(Set.of(leader), group.witness().pods().keySet());
            assertEquals(List.of(), moves(group, before));
        }
    }

    private HostileGroup calmGroup() {
        return groups.emptyHostile(Duration.ofSeconds(15), Duration.ofSeconds(10), Duration.ofSeconds(2));
    }

    private static void moveTo(HostileGroup group, String pod) {
        for (String other : group.podsOtherThan(pod)) {
            group.group().setReady(other, false);
        }
        group.group().editLease(spec -> spec.setHolderIdentity(""));
        group.group().await(pod + " leads", Group.SOON, () -> "true".equals(group.group().labels().get(pod)));
        for (String other : group.podsOtherThan(pod)) {
            group.group().setReady(other, true);
        }
        group.group().awaitLeader(Group.SOON);
    }

    private static List<String> moves(HostileGroup group, long since) {
        group.witness().catchUp();
        return group.witness().movesSince(since).stream().map(Witness.Move::toString).toList();
    }

    private static void setDeletionCost(HostileGroup group, String pod, int cost) {
        group.group().editPod(pod, """
                {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "%d"}}}""".formatted(cost));
    }

    /** Waits until there are three pods, all of this version of the template, and Ready. */
    private static void awaitReady(HostileGroup group, String version) {
        group.group().await("three pods of version " + version, ROLLOUT, () -> group.group().readyPods("version", version).size() == 3
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
                .formatted(version, RollingNode.NAME);
    }
}
