import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * A class of tests that start no processes and mostly wait, for instance for leases to expire. All of these run at the same time, after the
 * others.
 */
@Tag(Patient.TAG)
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.TYPE)
@interface Patient {

    /** The tag by which these classes are recognised. */
    String TAG = "patient";

    /** The same where they start processes, or an API server: kept apart from those whose times that would spoil. */
    @Tag(WithProcesses.TAG)
    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.TYPE)
    @interface WithProcesses {

        /** The tag by which these classes are recognised. */
        String TAG = "patient-with-processes";
    }

    /**
     * A class of tests that wait with little to do, for a token to expire for instance: these begin first and run beside all others, which
     * they do not disturb.
     */
    @Execution(ExecutionMode.CONCURRENT)
    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.TYPE)
    @interface FromTheStart {}
}
