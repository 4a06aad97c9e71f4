import com.baidu.beidou.navi.protocol.SerializeHandlerFactory;

/** Serves with Navi's own codec for a media type. */
public class BinaryServer {
    public static void main(String[] args) throws Exception {
        new NaviServer(SerializeHandlerFactory.getHandlerByProtocal(args[0])).run();
    }
}
