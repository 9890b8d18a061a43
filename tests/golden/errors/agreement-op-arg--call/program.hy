(defn discount [price budget] (min price budget))
(defchor offer [Buyer Seller] (-> Buyer Seller Buyer) [budget price]
  (Buyer (discount price budget)))
