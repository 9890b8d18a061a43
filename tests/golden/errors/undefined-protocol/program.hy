(defprotocol Shop [Buyer Seller]
  (do Login Buyer Seller)
  (-> Buyer Seller (order str)))
