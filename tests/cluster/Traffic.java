import java.time.Duration;
import java.util.Comparator;
import java.util.List;

/** What a user of the leader's Service sees: a pod that opens a new connection to it every 20 ms ({@link Probe}), read from its log. */
final class Traffic {

    private static final String POD = "client";
    private static final Duration LIMIT = Duration.ofMinutes(2);

    /**
     * One request.
     *
     * @param begun milliseconds since 1970, by the clock of the client's node
     * @param outcome {@code ok POD} or {@code failed WHY}
     */
    record Request(long number, long begun, long millis, String outcome) {

        static Request parse(String line) {
            String[] fields = line.split(" ", 4);
            return new Request(Long.parseLong(fields[0]), Long.parseLong(fields[1]), Long.parseLong(fields[2]), fields[3]);
        }

        boolean failed() {
            return outcome.startsWith("failed");
        }
    }

    /** What happened between two requests: {@code longestGap} is the longest time, in ms, between the beginnings of two that succeeded. */
    record Window(int requests, int failed, long longestGap, List<String> failures) {}

    private final Cluster cluster;
    private final String namespace;

    /** Starts the client, beside nobody of the election if {@code node} says where, and waits until it is answered. */
    Traffic(Cluster cluster, String namespace, String service, String node) {
        this.cluster = cluster;
        this.namespace = namespace;
        String address = cluster.kubectl("get", "service", service, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}");
        cluster.kubectl("run", POD, "-n", namespace, "--image=" + Cluster.PROBE, "--restart=Never", "--overrides", """
                {"spec": {"nodeName": "%s", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                  "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                  "containers": [{"name": "client", "image": "%s", "args": ["poll", "%s"],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}
                """.formatted(node, Cluster.PROBE, address));
        cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/" + POD, "--timeout=120s");
        Wait.until("the client is answered", LIMIT, () -> requests("--tail=5").stream().anyMatch(request -> !request.failed()));
    }

    /** The number of the latest request. */
    long now() {
        return requests("--tail=20").stream().mapToLong(Request::number).max().orElse(0);
    }

    /** Waits until so many more requests are over, two seconds being a hundred, and tells what happened after request {@code since}. */
    Window since(long since, int more) {
        long until = now() + more;
        Wait.until("request " + until, LIMIT, () -> now() > until);
        List<Request> window = requests("--since=10m").stream().filter(request -> request.number() > since)
                .sorted(Comparator.comparingLong(Request::begun)).toList();
        long gap = 0;
        long last = window.getFirst().begun();
        for (Request request : window) {
            if (!request.failed()) {
                gap = Math.max(gap, request.begun() - last);
                last = request.begun();
            }
        }
        List<String> failures = window.stream().filter(Request::failed).map(Request::outcome).distinct().limit(5).toList();
        return new Window(window.size(), (int) window.stream().filter(Request::failed).count(), gap, failures);
    }

    private List<Request> requests(String which) {
        return cluster.kubectl("logs", POD, "-n", namespace, which).lines().filter(line -> line.matches("\\d+ \\d+ \\d+ .*"))
                .map(Request::parse).toList();
    }
}
