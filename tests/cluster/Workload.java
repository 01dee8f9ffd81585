import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A Deployment of three pods in a namespace of its own, all that happens to their labels, and a user of the leader's Service. The
 * Deployment, its label {@code app} and the election have one name; the Service is {@code <name>-leader}.
 */
final class Workload implements AutoCloseable {

    private static final Duration SOON = Duration.ofMinutes(3);
    private static final int PODS = 3;
    /** Requests to wait for after a disturbance: two seconds, in which the Services have followed long since. */
    private static final int SETTLE = 100;

    private final Cluster cluster;
    private final String namespace;
    private final String name;
    private final Labels labels;
    private Traffic traffic;

    /** Begins to watch an empty namespace. */
    Workload(Cluster cluster, String namespace, String name) {
        this.cluster = cluster;
        this.namespace = namespace;
        this.name = name;
        this.labels = new Labels(cluster.client(), namespace, name + "/is-leader");
    }

    /** Waits until all is ready, and starts the user on a node. */
    void use(String node) {
        awaitReady();
        traffic = new Traffic(cluster, namespace, name + "-leader", node);
    }

    Labels labels() {
        return labels;
    }

    /** The pod that is labelled; there must be one. */
    String leader() {
        return labels.leader().orElseThrow();
    }

    /** Disturbs, waits until everything is ready again and the Services have followed, and tells what the user saw meanwhile. */
    List<Traffic.Window> repeat(String what, int times, Runnable disturbance) {
        List<Traffic.Window> windows = new ArrayList<>();
        for (int i = 1; i <= times; i++) {
            long request = traffic.now();
            long time = System.nanoTime();
            disturbance.run();
            awaitReady();
            Traffic.Window window = traffic.since(request, SETTLE);
            windows.add(window);
            System.out.printf("%-24s %d: %5d requests, %4d failed, longest gap %5d ms; %d changes of leader, %4d ms without label %s%n",
                    what, i, window.requests(), window.failed(), window.longestGap(), labels.moves(time), labels.millisWithNone(time),
                    window.failures());
        }
        assertEquals(List.of(), labels.withTwo());
        return windows;
    }

    /** Of the failed requests of each window. */
    static int medianOfFailed(List<Traffic.Window> windows) {
        return windows.stream().map(Traffic.Window::failed).sorted().toList().get(windows.size() / 2);
    }

    /** Waits until the Deployment is as it should be, terminating pods are gone, and one leads. */
    void awaitReady() {
        cluster.kubectl("rollout", "status", "-n", namespace, "deploy/" + name, "--timeout=180s");
        Wait.until("three pods that are ready", SOON, () -> {
            List<String> ready = Arrays.stream(cluster.kubectl("get", "pods", "-n", namespace, "-l", "app=" + name,
                    "-o", "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}").split("\\s+")).toList();
            return ready.size() == PODS && ready.stream().allMatch("True"::equals);
        });
        Wait.until("a leader", SOON, () -> labels.leader().isPresent());
    }

    @Override
    public void close() {
        labels.close();
    }
}
