import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.extended.leaderelection.LeaderElectionConfig;
import io.kubernetes.client.extended.leaderelection.LeaderElector;
import io.kubernetes.client.extended.leaderelection.resourcelock.LeaseLock;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoreV1Api;
import io.kubernetes.client.openapi.models.V1Pod;
import io.kubernetes.client.util.ClientBuilder;
import io.kubernetes.client.util.PatchUtils;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * What one writes with client-java-extended's own {@link LeaderElector} and {@link LeaseLock}, used as their documentation shows: the
 * baseline of the benchmark. It takes the flags of the program that matter here and ignores the others.
 *
 * <ul>
 * <li>At the start it labels its own pod as a follower that takes part. When it starts to lead it labels its own pod {@code true}, when it
 * stops, {@code false}. It writes no other pod, and tries each write again until the API server takes it.
 * <li>On SIGTERM it stops leading, takes its label off and then lets {@link LeaderElector#close} release the Lease, so that nobody has to
 * wait for its end.
 * <li>When it has lost the Lease it takes part again, with a new elector.
 * </ul>
 */
public final class BaselineLabeler {

    private final Map<String, String> flags;
    private final String election;
    private final String pod;
    private final String namespace;
    private final ApiClient client = ClientBuilder.standard().build();
    private final CoreV1Api core = new CoreV1Api(client);
    private volatile boolean leading;
    private volatile boolean stopping;

    private BaselineLabeler(Map<String, String> flags) throws IOException {
        this.flags = flags;
        this.election = flags.get("--election-name");
        this.pod = flag("--pod-name", System.getenv("POD_NAME"));
        this.namespace = flag("--namespace", System.getenv("POD_NAMESPACE"));
    }

    /** Runs until SIGTERM; ends with exit code 1 if the pod does not exist. */
    public static void main(String[] arguments) throws Exception {
        Map<String, String> flags = new TreeMap<>();
        Arrays.stream(arguments).map(argument -> argument.split("=", 2)).forEach(flag -> flags.put(flag[0], flag[1]));
        new BaselineLabeler(flags).run();
    }

    private void run() throws Exception {
        label(false);
        Thread elections = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(elections)));
        LeaseLock lock = new LeaseLock(namespace, election, pod, client);
        LeaderElectionConfig config = new LeaderElectionConfig(lock, duration("--lease-duration", "15s"),
                duration("--renew-deadline", "10s"), duration("--retry-period", "2s"));
        while (!stopping) {
            try (LeaderElector elector = new LeaderElector(config)) {
                elector.run(() -> label(true), () -> label(false));
            }
        }
    }

    private void stop(Thread elections) {
        stopping = true;
        elections.interrupt();
        try {
            elections.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Returns when the label is written, or another value is wanted. */
    private void label(boolean leader) {
        Thread.interrupted(); // the elector was interrupted, not this
        leading = leader;
        synchronized (this) {
            while (leading == leader && !isWritten(leader)) {
                pause();
            }
        }
    }

    private boolean isWritten(boolean leader) {
        String patch = "{\"metadata\": {\"labels\": {\"%1$s/is-leader\": \"%2$s\", \"%1$s/participant\": \"true\"}}}"
                .formatted(election, leader);
        try {
            PatchUtils.patch(V1Pod.class, () -> core.patchNamespacedPod(pod, namespace, new V1Patch(patch)).buildCall(null),
                    V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, client);
            return true;
        } catch (ApiException e) {
            System.err.println("cannot label the pod: HTTP " + e.getCode() + " " + e.getMessage());
            if (e.getCode() == 404) {
                Runtime.getRuntime().halt(1);
            }
            return false;
        }
    }

    private void pause() {
        try {
            Thread.sleep(duration("--retry-period", "2s"));
        } catch (InterruptedException stopped) {
            leading = false;
        }
    }

    private String flag(String name, String otherwise) {
        return flags.getOrDefault(name, otherwise);
    }

    private Duration duration(String flag, String otherwise) {
        return Config.duration(flag, flag(flag, otherwise));
    }
}
