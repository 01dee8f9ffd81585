import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The annotation of the Lease by which users say who is to lead, as real processes take it. */
@Patient.WithProcesses
class PreferredLeaderTest {

    private static final String PREFERRED = "web/preferred-leader";

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(List.of("--lease-duration=10s", "--renew-deadline=8s", "--retry-period=2s",
            "--unready-grace=500ms")); // with a retry-period that a busy pod needs to acquire the Lease before the next in rank

    @BeforeAll
    static void elect() {
        GROUP.elect(3);
    }

    /** The label moves as in any planned hand-over, and everybody shows who is preferred. */
    @Test
    void the_lead_moves_to_the_pod_that_the_lease_names_and_stays_there() {
        ServedSidecar former = GROUP.leader();
        ServedSidecar preferred = GROUP.follower();
        assertFalse(former.state().containsKey("preferred"));
        assertEquals(0, preferred.metrics().value("leader_labeler_preferred"));
        long before = GROUP.witness().now();

        GROUP.group().annotateLease(PREFERRED, preferred.pod());
        GROUP.group().await(preferred.pod() + " leads", Group.START, () -> GROUP.witness().movesSince(before).size() == 2);

        assertEquals(List.of(former.pod() + " off", preferred.pod() + " on"),
                GROUP.witness().movesSince(before).stream().map(Witness.Move::toString).toList());
        Wait.until(former.pod() + " follows", Group.SOON, () -> preferred.pod().equals(former.state().get("name")));
        assertEquals(preferred.pod(), former.state().get("preferred"));
        assertEquals(1, preferred.metrics().value("leader_labeler_preferred"));
        assertEquals(0, former.metrics().value("leader_labeler_preferred"));
    }
}
