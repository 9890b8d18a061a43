(import klorpy.behaviour [local-type])
(defprotocol Buy [Buyer Seller Post]
  (branch Buyer Seller
    (yes (-> Seller Post str))
    (no)))
(print (local-type Buy "Post"))
