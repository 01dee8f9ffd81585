import static org.junit.jupiter.api.Assertions.assertFalse;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A {@link Group} whose sidecars are processes that serve HTTP and write role files, on an API server in memory of its own.
 *
 * <p>To be registered: see {@link Lifecycle}.
 */
final class ServedGroup extends Lifecycle {

    /** Timing for tests in which much is renewed and no lease may expire, however slow the machine. */
    static final List<String> BRISK = List.of("--lease-duration=30s", "--renew-deadline=20s", "--retry-period=500ms");
    /** The lease-duration of {@link #BRISK}. */
    static final Duration LEASE = Duration.ofSeconds(30);
    /** The retry-period of {@link #BRISK}. */
    static final Duration RETRY_PERIOD = Duration.ofMillis(500);
    private static final Duration LIMIT = Duration.ofSeconds(60);

    private final List<String> flags;
    private final InMemoryServer server = new InMemoryServer();
    private final Group group;
    private final Map<String, ServedSidecar> sidecars = new TreeMap<>();
    private final List<ServedSidecar> all = new ArrayList<>();

    private ServedGroup(boolean ofClass, List<String> flags) {
        super(ofClass);
        this.flags = flags;
        this.group = new Group(server, server.newNamespace(), "web", flags);
    }

    /** One for a single test, with these flags of all sidecars; no pod yet. */
    static ServedGroup ofTest(List<String> flags) {
        return new ServedGroup(false, flags);
    }

    /** One for all tests of a class. */
    static ServedGroup ofClass(List<String> flags) {
        return new ServedGroup(true, flags);
    }

    InMemoryServer server() {
        return server;
    }

    Group group() {
        return group;
    }

    Witness witness() {
        return group.witness();
    }

    /** Makes the pods {@code web-0} and so on, starts their sidecars, and waits until one leads and its HTTP address says so. */
    ServedSidecar elect(int pods) {
        for (int i = 0; i < pods; i++) {
            group.createPod("web-" + i);
        }
        for (int i = 0; i < pods; i++) {
            start("web-" + i);
        }
        return leader();
    }

    /** Starts a sidecar for a pod, with these flags besides those of the group; the pod is made by {@link Group#createPod}. */
    ServedSidecar start(String pod, String... more) {
        return start(pod, server.kubeconfig(), more);
    }

    /** The same by another kubeconfig. */
    ServedSidecar start(String pod, Path kubeconfig, String... more) {
        Endpoint endpoint = Endpoint.free();
        Path roleFile = Folders.temporary("role-of-" + pod).resolve("role.json");
        List<String> arguments = new ArrayList<>(List.of("--election-name=web", endpoint.flag(), "--role-file=" + roleFile));
        List.of(flags, Arrays.asList(more)).forEach(given -> given.forEach(flag -> {
            arguments.removeIf(argument -> argument.startsWith(flag.replaceFirst("=.*", "=")));
            arguments.add(flag);
        }));
        SidecarProcess process = SidecarProcess.start(kubeconfig, group.namespace(), pod, arguments.toArray(String[]::new));
        ServedSidecar sidecar = new ServedSidecar(pod, process, endpoint, roleFile);
        sidecars.put(pod, sidecar);
        all.add(sidecar);
        return sidecar;
    }

    /** The sidecar that was started last for a pod. */
    ServedSidecar of(String pod) {
        return sidecars.get(pod);
    }

    /** The sidecars that were started last, by their pods' names. */
    Collection<ServedSidecar> sidecars() {
        return sidecars.values();
    }

    /** Waits until all labels are as they should be and the leader itself says that it leads. */
    ServedSidecar leader() {
        ServedSidecar leader = of(group.awaitLeader(LIMIT));
        Wait.until(leader.pod() + " says that it leads", LIMIT, () -> leader.endpoint().code("/leader") == 200 && leader.saysItLeads());
        return leader;
    }

    /** Any of the others; waits until it knows who leads, because one that has just been started could not take over yet. */
    ServedSidecar follower() {
        String leader = leader().pod();
        ServedSidecar follower = sidecars.values().stream().filter(sidecar -> !sidecar.pod().equals(leader)).findFirst().orElseThrow();
        Wait.until(follower.pod() + " knows who leads", LIMIT,
                () -> follower.endpoint().isOpen() && leader.equals(follower.state().get("name")));
        return follower;
    }

    /** Empties the Lease, as a person with kubectl would, which moves the lead; returns the next leader. */
    ServedSidecar moveLead() {
        String old = leader().pod();
        group.editLease(lease -> lease.setHolderIdentity(""));
        group.awaitLeaderOtherThan(old, LIMIT);
        return leader();
    }

    @Override
    void check() {
        all.forEach(sidecar -> assertFalse(sidecar.process().log().contains("\n\tat "), sidecar.process().log()));
    }

    @Override
    String report() {
        StringBuilder report = new StringBuilder(group.report());
        all.forEach(sidecar -> report.append("\n--- ").append(sidecar.pod()).append(":\n").append(sidecar.process().log()));
        return report.toString();
    }

    /** Kills the sidecars and ends the API server: for groups that are not registered. */
    @Override
    public void close() {
        all.forEach(sidecar -> sidecar.process().close());
        all.forEach(sidecar -> Folders.delete(sidecar.roleFile().getParent()));
        group.close();
        server.close();
    }
}
