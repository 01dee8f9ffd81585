import java.time.Duration;
import java.util.List;

/**
 * The settings of a sidecar under test, by name: those that nobody sets are client-go's timing and the keys that the program derives from
 * the election's name. The rest of the tests does not know how many components {@link Config} has.
 */
final class TestConfig {

    private String election = "web";
    private String pod = "web-0";
    private String namespace = "default";
    private String leadershipLabel;
    private String participationLabel;
    private String leaseName;
    private Duration leaseDuration = Duration.ofSeconds(15);
    private Duration renewDeadline = Duration.ofSeconds(10);
    private Duration retryPeriod = Duration.ofSeconds(2);
    private Handover handover = Handover.EARLY;
    private Duration unreadyGrace;
    private int deletionCost = 100;
    private String podUid;

    /** Settings of the pod {@code web-0} in the election {@code web}. */
    static TestConfig config() {
        return new TestConfig();
    }

    TestConfig election(String name) {
        election = name;
        return this;
    }

    TestConfig pod(String name) {
        pod = name;
        return this;
    }

    TestConfig namespace(String name) {
        namespace = name;
        return this;
    }

    TestConfig leadershipLabel(String key) {
        leadershipLabel = key;
        return this;
    }

    TestConfig participationLabel(String key) {
        participationLabel = key;
        return this;
    }

    TestConfig leaseName(String name) {
        leaseName = name;
        return this;
    }

    TestConfig timing(Duration lease, Duration renew, Duration retry) {
        leaseDuration = lease;
        renewDeadline = renew;
        retryPeriod = retry;
        return this;
    }

    TestConfig handover(Handover when) {
        handover = when;
        return this;
    }

    TestConfig unreadyGrace(Duration grace) {
        unreadyGrace = grace;
        return this;
    }

    TestConfig deletionCost(int cost) {
        deletionCost = cost;
        return this;
    }

    /** That which the container was told; null for none. */
    TestConfig podUid(String uid) {
        podUid = uid;
        return this;
    }

    /** Takes flags of the command line; of two that set the same, the later counts. AssertionError for one that is not known here. */
    TestConfig flags(List<String> flags) {
        for (String flag : flags) {
            String[] parts = flag.split("=", 2);
            switch (parts[0]) {
                case "--leadership-label" -> leadershipLabel = parts[1];
                case "--participation-label" -> participationLabel = parts[1];
                case "--lease-name" -> leaseName = parts[1];
                case "--lease-duration" -> leaseDuration = Config.duration(parts[0], parts[1]);
                case "--renew-deadline" -> renewDeadline = Config.duration(parts[0], parts[1]);
                case "--retry-period" -> retryPeriod = Config.duration(parts[0], parts[1]);
                case "--handover" -> handover = Handover.parse(parts[1]);
                case "--unready-grace" -> unreadyGrace = Config.duration(parts[0], parts[1]);
                case "--deletion-cost" -> deletionCost = Config.wholeNumber(parts[0], parts[1]);
                default -> throw new AssertionError("no setting of a sidecar in this JVM: " + flag);
            }
        }
        return this;
    }

    /** Throws IllegalArgumentException where a rule is broken, as {@link Config} does. */
    Config build() {
        return new Config(election, pod, namespace, leadershipLabel == null ? election + "/is-leader" : leadershipLabel,
                participationLabel == null ? election + "/participant" : participationLabel, leaseName == null ? election : leaseName,
                leaseDuration, renewDeadline, retryPeriod, handover, unreadyGrace == null ? leaseDuration : unreadyGrace,
                deletionCost, podUid);
    }
}
